#pragma once
// What the router `gates` knows: of every expert one vector a linear, learnt beside the frozen expert
// on the expert's own rows (RUN/routers, made when first needed), and the ensembles that these mix.
// The experts' files are only read.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "baton/config/config.hpp"
#include "baton/eval/answering.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/method/method.hpp"
#include "baton/model/gates.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

struct GateJob {
  run::RunFolder& folder;
  const config::Config& config;
  const method::Method& method;
  const Workspace& workspace;
  const LoadedExperts& experts;
  bool may_write = false;  // the folder's lock is held: missing gates are learnt and written
  /// On every rank before each micro-batch slot of an update; true asks to stop. May be empty.
  std::function<bool(const std::string& task, std::int64_t step)> before_slot = {};
};

struct LearntGates {
  std::vector<model::Gates> gates;   // by expert
  std::vector<std::string> digests;  // SHA-256 of each one's file
};

/// Collective over `group`, whose rank 0 reads and writes the files; the gates have the same bits
/// for any number of ranks. Gates that are missing, or of another expert or other keys, and may not
/// be learnt: kUsage. Train rows that are not those of the expert: kData. A stop that was asked for
/// on the way: kStopped; what was finished is kept.
LearntGates make_gates(const GateJob& job, comm::Communicator& group);

/// The experts of each set, mixed by their gates; `top_k` of them count.
std::vector<eval::Ensemble> make_ensembles(const LoadedExperts& experts,
                                           const LearntGates& learnt,
                                           std::span<const std::vector<int>> sets,
                                           std::int64_t top_k);

}  // namespace baton::experiment
