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

constexpr const char* kValidation = "validation";  // a group that is there after a validation
constexpr const char* kBestParameters = "best_parameters";  // in it

bool has(const H5File& file, const std::string& group, const std::string& name) {
  const std::vector<std::string> names = file.names_in(group);
  return std::find(names.begin(), names.end(), name) != names.end();
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

std::string best_parameters_name() {
  return std::string(kValidation) + "/" + kBestParameters;
}

void check_validation(const H5File& file, const expert::ValidationFacts& facts, std::int64_t step) {
  const std::string range = fmt::format("0 to {}", step);
  require(file, facts.step >= 0 && facts.step <= step, "validation_step", facts.step, range);
  require(file, facts.best_step >= 0 && facts.best_step <= facts.step, "best_step", facts.best_step,
          range);
  require(file, facts.num_without_gain >= 0, "validations_without_gain", facts.num_without_gain,
          "0 or more");
}

// A list of updates may be long: a dataset and no attribute.
struct TrainingFactWriter {
  H5File& file;
  template <typename Value>
  void operator()(const char* name, const Value& value) const {
    if constexpr (std::same_as<Value, std::vector<std::int64_t>>) {
      file.write_ints(name, value);
    } else if constexpr (std::same_as<Value, std::optional<expert::ValidationFacts>>) {
      if (value) {
        file.make_group(kValidation);
        expert::ValidationFacts::fields(*value, FactWriter{file});
      }
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
    } else if constexpr (std::same_as<Value, std::optional<expert::ValidationFacts>>) {
      if (has(file, "", kValidation)) {
        expert::ValidationFacts::fields(value.emplace(), FactReader{file});
      }
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
  BATON_ASSERT(
      state.best_parameters.empty() || (state.validation && state.best_parameters.size() == size),
      fmt::format("{} parameters, {} of them kept", size, state.best_parameters.size()));
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
  if (!state.best_parameters.empty()) {
    write_flat(file, best_parameters_name(), state.best_parameters);
  }
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
  if (state.validation) {
    check_validation(file, *state.validation, state.step);
    if (has(file, kValidation, kBestParameters)) {
      state.best_parameters = read_flat(file, best_parameters_name(), size);
    }
  }
  return state;
}

}  // namespace baton::checkpoint
