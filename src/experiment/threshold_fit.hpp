#pragma once
// accept_threshold = auto at the end of an expert's training: margins of rows that the expert did
// not learn from, spread over the group's ranks, and the threshold they ask for. Where too few own
// rows could be held out, two experts are trained on half of the rows each and asked about the
// other half. Every step beats the heart and obeys a stop; the bits do not depend on the number of
// ranks.

#include <optional>

#include "baton/comm/communicator.hpp"
#include "baton/experiment/expert_training.hpp"
#include "baton/method/calibration.hpp"
#include "baton/model/adapter.hpp"
#include "baton/train/trainer.hpp"

namespace baton::experiment {

struct ThresholdJob {
  const ExpertJob& expert;
  const TrainingHooks& hooks;
  const train::TrainerOptions& training;  // what the expert was trained with
  const model::Adapter& initial;          // where its training began
  const model::Adapter& trained;
  /// Of its updates, those that what was kept was trained in: an expert that is trained for its
  /// threshold alone ends at the same share of its own.
  double share_trained = 1;
};

/// Collective over `group`; nothing when a rank asked to stop.
std::optional<method::Calibration> fit_threshold(const ThresholdJob& job,
                                                 comm::Communicator& group);

}  // namespace baton::experiment
