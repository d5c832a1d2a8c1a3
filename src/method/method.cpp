#include "baton/method/method.hpp"

#include <algorithm>
#include <array>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "methods.hpp"

namespace baton::method {

namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Method> (*make)(const config::Config&);
};
constexpr std::array kMethods = {
    Entry{"see", make_see},         Entry{"sequential", make_sequential},
    Entry{"replay", make_replay},   Entry{"multitask", make_multitask},
    Entry{"single", make_single},   Entry{"o_lora", make_o_lora},
    Entry{"base", make_base_alone},
};

// Keys that some methods read and others do not.
bool is_for_some(const std::string& key) {
  return (key.starts_with("method.") && key != "method.method") || key.starts_with("data.general");
}

}  // namespace

const LearnerPlan& plan_at(std::span<const LearnerPlan> learners, std::size_t position) {
  const auto found =
      std::find_if(learners.begin(), learners.end(),
                   [position](const LearnerPlan& plan) { return plan.position == position; });
  BATON_ASSERT(found != learners.end(), "no learner at position " + std::to_string(position));
  return *found;
}

bool Method::reads(const std::string& key) const {
  const std::vector<std::string> own = own_keys();
  return !is_for_some(key) || std::find(own.begin(), own.end(), key) != own.end();
}

std::optional<data::RehearsalBuffer> Method::make_buffer(const TaskRows& /*task*/) const {
  return std::nullopt;
}

bool Method::chooses_by_features(std::size_t /*num_task_rows*/) const {
  return false;
}

std::vector<data::Example> Method::choose_general(std::span<const data::Example> /*rows*/) const {
  return {};
}

void Method::give_targets(std::span<data::SelectedRow> /*rows*/,
                          const expert::Indicators& /*indicators*/) const {}

void Method::weigh_openings(std::span<data::TrainingRow> /*rows*/) const {}

double Method::cost_factor(std::size_t /*num_own_rows*/) const {
  return 1;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kMethods) {
    names.emplace_back(entry.name);
  }
  return names;
}

std::unique_ptr<Method> make_method(const config::Config& config) {
  const std::string& name = config.method.method;
  for (const Entry& entry : kMethods) {
    if (entry.name == name) {
      return entry.make(config);
    }
  }
  const std::vector<std::string> names = method_names();
  const auto nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "there is no method of this name",
      {.where = "method.method",
       .expected = base::join(names, " or "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names"});
}

}  // namespace baton::method
