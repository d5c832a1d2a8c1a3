#pragma once
// What the analytic router knows: every task's sums of widened features (RUN/routers, made from the
// train rows when they are first needed) and the least-squares weights of every stage, in closed
// form. No gradient, and the order of the tasks changes nothing.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "baton/config/config.hpp"
#include "baton/eval/generate.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/expert/feature_statistics.hpp"
#include "baton/method/feature_classifier.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

/// Collective over `group`: the features of all prompts as the map widens them, on every rank.
/// Batches do not depend on the number of ranks, and so neither do the bits.
std::vector<std::vector<double>> share_features(const eval::Answering& answering,
                                                const method::FeatureMap& map,
                                                std::span<const eval::Prompt> prompts,
                                                comm::Communicator& group);

struct AnalyticJob {
  run::RunFolder& folder;
  const config::Config& config;
  const Workspace& workspace;
  const LoadedExperts& experts;
  bool may_write = false;  // the folder's lock is held: missing sums are made and written
};

/// Collective over `group`, whose rank 0 reads and writes the files. Sums that are missing and may
/// not be made: kUsage. Train rows that are not those of the expert: kData.
std::shared_ptr<const method::FeatureClassifier> make_classifier(const AnalyticJob& job,
                                                                 comm::Communicator& group);

/// The weights of the classes `tasks`, by class [n, M]: ridge regression on the sums, every task
/// weighing alike, summed in the order of their names.
std::vector<double> solve_classes(std::span<const expert::FeatureStatistics> tasks);

}  // namespace baton::experiment
