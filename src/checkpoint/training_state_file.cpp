#include "baton/checkpoint/training_state_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <span>

#include "baton/base/error.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/generation.hpp"
#include "fact_codecs.hpp"

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

std::vector<std::int64_t> read_updates(const H5File& file, const std::string& name) {
  std::vector<std::int64_t> updates = file.read_ints(name);
  for (const std::int64_t update : updates) {
    if (update < 0) {
      refuse_content(file.path(), "dataset " + name, "0 or more", std::to_string(update));
    }
  }
  return updates;
}

// A list of updates may be long: a dataset and no attribute.
struct TrainingFactWriter {
  H5File& file;
  template <typename Value>
  void operator()(const char* name, const Value& value) const {
    if constexpr (std::same_as<Value, std::vector<std::int64_t>>) {
      file.write_ints(name, value);
    } else {
      FactWriter{file}(name, value);
    }
  }
};

struct TrainingFactReader {
  const H5File& file;
  template <typename Value>
  void operator()(const char* name, Value& value) const {
    if constexpr (std::same_as<Value, std::vector<std::int64_t>>) {
      value = read_updates(file, name);
    } else {
      FactReader{file}(name, value);
    }
  }
};

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
  TrainingState::fields(state, TrainingFactWriter{file});
  file.set_int("num_parameters", static_cast<std::int64_t>(state.parameters.size()));
  write_flat(file, "parameters", state.parameters);
  write_flat(file, "first_moment", state.first_moment);
  write_flat(file, "second_moment", state.second_moment);
  return file;
}

TrainingState read_training_state(const std::filesystem::path& path) {
  const H5File file = H5File::open(path);
  check_kind(file, kTrainingStateKind, kTrainingStateFormatVersion);
  TrainingState state;
  TrainingState::fields(state, TrainingFactReader{file});
  const std::int64_t size = file.integer("num_parameters");
  require(file, state.num_updates >= 0, "num_updates", state.num_updates, "0 or more");
  require(file, state.step >= 0 && state.step <= state.num_updates, "step", state.step,
          fmt::format("0 to {}", state.num_updates));
  state.parameters = read_flat(file, "parameters", size);
  state.first_moment = read_flat(file, "first_moment", size);
  state.second_moment = read_flat(file, "second_moment", size);
  return state;
}

}  // namespace baton::checkpoint
