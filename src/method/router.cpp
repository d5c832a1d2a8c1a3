#include "baton/method/router.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::method {

namespace {

// The chain of SEE: newest first, the first that says "mine" answers.
class SequentialRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  Route route(const Query& query, ExpertPanel& panel) const override {
    Route result;
    for (int expert = panel.size() - 1; expert >= 0; --expert) {
      const double margin = panel.margin(expert);
      if (std::isnan(margin)) {
        throw base::Error(
            base::ErrorKind::kNonFinite, "an expert's margin is not a number",
            {.where = fmt::format("expert {}, query {}", panel.name(expert), query.id),
             .expected = "a number: logit(accept) - logit(pass)",
             .found = "NaN",
             .fix = "train this expert again: its weights are damaged or diverged"});
      }
      result.asked.push_back({.expert = expert, .margin = margin});
      if (margin > panel.threshold(expert)) {
        result.answerers.push_back({.expert = expert});
        return result;
      }
    }
    result.answerers.push_back({.expert = kBase});
    return result;
  }

 private:
  std::string name_ = "sequential";
};

// The upper bound: always right about the task, asks nobody.
class OracleRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  Route route(const Query& query, ExpertPanel& panel) const override {
    Route result;
    for (int expert = 0; expert < panel.size(); ++expert) {
      if (!query.true_task.empty() && panel.name(expert) == query.true_task) {
        result.answerers.push_back({.expert = expert});
        return result;
      }
    }
    result.answerers.push_back({.expert = kBase});
    return result;
  }

 private:
  std::string name_ = "oracle";
};

template <typename T>
std::unique_ptr<Router> make() {
  return std::make_unique<T>();
}

struct NamedRouter {
  const char* name;
  std::unique_ptr<Router> (*make)();
};

constexpr std::array<NamedRouter, 2> kRouters{{
    {"sequential", make<SequentialRouter>},
    {"oracle", make<OracleRouter>},
}};

}  // namespace

std::unique_ptr<Router> make_router(const std::string& name) {
  std::vector<std::string> names;
  for (const NamedRouter& router : kRouters) {
    if (name == router.name) {
      return router.make();
    }
    names.emplace_back(router.name);
  }
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "there is no router of this name",
      {.where = "",
       .expected = base::join(names, " or "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names"});
}

}  // namespace baton::method
