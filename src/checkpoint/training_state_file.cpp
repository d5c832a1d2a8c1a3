#include "baton/checkpoint/training_state_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "baton/base/error.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/generation.hpp"

namespace baton::checkpoint {

namespace {

using expert::TrainingState;

void write_flat(H5File& file, const std::string& name, const std::vector<float>& values) {
  const std::array<std::int64_t, 1> shape{static_cast<std::int64_t>(values.size())};
  file.write_floats(name, values, shape);
}

// The shape is compared before memory is asked for.
std::vector<float> read_flat(const H5File& file, const std::string& name, std::int64_t size) {
  const H5Dataset facts = file.describe(name);
  if (facts.shape != std::vector<std::int64_t>{size}) {
    refuse_content(file.path(), "dataset " + name, fmt::format("shape [{}]", size),
                   fmt::format("shape [{}]", fmt::join(facts.shape, ", ")));
  }
  return file.read_floats(name);
}

void require(const H5File& file,
             bool fine,
             const std::string& name,
             std::int64_t value,
             const std::string& expected) {
  if (!fine) {
    refuse_content(file.path(), "attribute " + name, expected, std::to_string(value));
  }
}

std::vector<std::int64_t> read_skipped(const H5File& file) {
  const std::string name = "skipped_updates";
  std::vector<std::int64_t> skipped = file.read_ints(name);
  for (const std::int64_t update : skipped) {
    if (update < 0) {
      refuse_content(file.path(), "dataset " + name, "0 or more", std::to_string(update));
    }
  }
  return skipped;
}

}  // namespace

void check_shapes(const TrainingState& state) {
  const std::size_t size = state.parameters.size();
  BATON_ASSERT(state.first_moment.size() == size && state.second_moment.size() == size,
               fmt::format("{} parameters, {} and {} moments", size, state.first_moment.size(),
                           state.second_moment.size()));
  BATON_ASSERT(state.step >= 0 && state.step <= state.num_updates,
               fmt::format("step {} of {}", state.step, state.num_updates));
}

H5File build_training_state(const std::filesystem::path& path, const TrainingState& state) {
  check_shapes(state);
  H5File file = H5File::create(path);
  file.set_text("kind", kTrainingStateKind);
  file.set_int("format_version", kTrainingStateFormatVersion);
  file.set_text("task", state.task);
  write_identity(file, state.identity);
  file.set_unsigned("seed", state.seed);
  file.set_int("step", state.step);
  file.set_int("num_updates", state.num_updates);
  file.set_int("num_parameters", static_cast<std::int64_t>(state.parameters.size()));
  file.set_real("first_loss", state.first_loss);
  file.set_real("last_loss", state.last_loss);
  file.set_real("seconds", state.seconds);
  file.set_int("num_tokens", state.num_tokens);
  file.set_int("threads_per_rank", state.threads_per_rank);
  write_flat(file, "parameters", state.parameters);
  write_flat(file, "first_moment", state.first_moment);
  write_flat(file, "second_moment", state.second_moment);
  file.write_ints("skipped_updates", state.skipped_updates);
  return file;
}

TrainingState read_training_state(const std::filesystem::path& path) {
  const H5File file = H5File::open(path);
  check_kind(file, kTrainingStateKind, kTrainingStateFormatVersion);
  TrainingState state;
  state.task = file.text("task");
  state.identity = read_identity(file);
  state.seed = file.unsigned_integer("seed");
  state.step = file.integer("step");
  state.num_updates = file.integer("num_updates");
  state.first_loss = file.real("first_loss");
  state.last_loss = file.real("last_loss");
  state.seconds = file.real("seconds");
  state.num_tokens = file.integer("num_tokens");
  state.threads_per_rank = file.integer("threads_per_rank");
  const std::int64_t size = file.integer("num_parameters");
  require(file, state.num_updates >= 0, "num_updates", state.num_updates, "0 or more");
  require(file, state.step >= 0 && state.step <= state.num_updates, "step", state.step,
          fmt::format("0 to {}", state.num_updates));
  state.parameters = read_flat(file, "parameters", size);
  state.first_moment = read_flat(file, "first_moment", size);
  state.second_moment = read_flat(file, "second_moment", size);
  state.skipped_updates = read_skipped(file);
  return state;
}

}  // namespace baton::checkpoint
