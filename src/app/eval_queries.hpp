#pragma once
// The queries of an evaluation: every eval row of the config's tasks, encoded.

#include "baton/config/config.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/experiment/open_run.hpp"

namespace baton::app {

/// Without routers. Asked to stop: kStopped; a row that is too long for the model: kData.
eval::EvaluationInput read_queries(const config::Config& config,
                                   const experiment::Workspace& workspace,
                                   const experiment::LoadedExperts& experts);

}  // namespace baton::app
