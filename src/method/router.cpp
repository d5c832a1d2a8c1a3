#include "baton/method/router.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "routers.hpp"

namespace baton::method {

namespace {

// Each under the name it gives itself.
constexpr std::array kRouters = {make_sequential_router, make_oracle_router, make_parallel_router,
                                 make_analytic_router, make_gates_router};

}  // namespace

std::vector<std::string> router_names() {
  std::vector<std::string> names;
  for (const auto make : kRouters) {
    names.push_back(make()->name());
  }
  return names;
}

std::unique_ptr<Router> make_router(const std::string& name) {
  for (const auto make : kRouters) {
    std::unique_ptr<Router> router = make();
    if (router->name() == name) {
      return router;
    }
  }
  const std::vector<std::string> names = router_names();
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "there is no router of this name",
      {.where = "method.router",
       .expected = base::join(names, " or "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names"});
}

Route route(const Router& router,
            const Query& query,
            std::span<const PanelExpert> experts,
            const std::function<double(int)>& margin_of) {
  Route result;
  for (;;) {
    Decision decision = router.decide(query, {experts, result.asked});
    BATON_ASSERT(decision.ask.empty() != decision.answerers.empty(),
                 fmt::format("router {}, query {}: {} to ask, {} answer", router.name(), query.id,
                             decision.ask.size(), decision.answerers.size()));
    if (decision.ask.empty()) {
      result.answerers = std::move(decision.answerers);
      return result;
    }
    for (const int expert : decision.ask) {
      result.asked.push_back({.expert = expert, .margin = margin_of(expert)});
    }
  }
}

}  // namespace baton::method
