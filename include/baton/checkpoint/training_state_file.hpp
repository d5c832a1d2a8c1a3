#pragma once
// state.h5 of a generation: the vectors of a TrainingState as one flat dataset a kind
// ("parameters", "first_moment", "second_moment", "skipped_updates"), its facts as attributes of the
// root. Where there were validations, the group "validation" is there, their facts are attributes
// too, and "validation/best_parameters" are those kept. The same state gives the same bytes.

#include <filesystem>

#include "baton/checkpoint/h5_file.hpp"
#include "baton/expert/training_state.hpp"

namespace baton::checkpoint {

inline constexpr const char* kStateFile = "state.h5";

/// The file in memory; H5File::finish_image has its bytes. `path` is what errors name.
H5File build_training_state(const std::filesystem::path& path, const expert::TrainingState& state);

/// kModel, naming file and item, for anything damaged or in disagreement with itself.
expert::TrainingState read_training_state(const std::filesystem::path& path);

/// Our own mistake when the vectors do not fit one another.
void check_shapes(const expert::TrainingState& state);

}  // namespace baton::checkpoint
