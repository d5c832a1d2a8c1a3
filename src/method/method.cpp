#include "baton/method/method.hpp"

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
constexpr std::array kMethods = {Entry{"see", make_see}};

}  // namespace

std::optional<data::RehearsalBuffer> Method::make_buffer(const TaskRows& /*task*/) const {
  return std::nullopt;
}

std::vector<data::Example> Method::choose_general(std::span<const data::Example> /*rows*/) const {
  return {};
}

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
