#pragma once
// A finished or growing run folder as the asking commands see it: config, experts on the model's
// device, chain.

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/eval/ask.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/method/method.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

struct LoadedExperts {
  std::vector<expert::ExpertState> states;  // without arrays; oldest first
  std::vector<std::string> digests;         // SHA-256 of each one's file
  std::vector<model::Adapter> adapters;
  std::vector<eval::ChainExpert> chain;  // points into adapters
};

/// The run's config with the overrides on top.
config::Config config_of_run(const run::RunFolder& folder,
                             const std::vector<config::Override>& overrides,
                             config::Purpose purpose);

/// The learners of a run whose experts are all there; missing ones are a kUsage error that says what
/// to run.
std::vector<method::LearnerPlan> finished_learners(const run::RunFolder& folder,
                                                   const method::Method& method);

/// The thresholds that experts are asked with, `digests` being those of their files: what `baton
/// calibrate` set for such a file, else the one of the training.
std::vector<double> thresholds_in_use(const run::RunFolder& folder,
                                      std::span<const expert::ExpertState> states,
                                      std::span<const std::string> digests);

/// Every expert of the run that the method has, verified; missing ones are a kUsage error that says
/// what to run. An expert that was trained with another base, tokenizer, template or settings than
/// `config` and its workspace have: kModel, listing each difference.
LoadedExperts load_experts(const run::RunFolder& folder,
                           const config::Config& config,
                           const method::Method& method,
                           const Workspace& workspace);

eval::Answering answering_of(const Workspace& workspace, const config::Config& config);

}  // namespace baton::experiment
