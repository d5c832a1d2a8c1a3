#include "baton/metrics/metric.hpp"

#include <array>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "scorers.hpp"

namespace baton::metrics {

namespace {

struct NamedScorer {
  const char* name;
  std::unique_ptr<Scorer> (*make)(std::vector<std::string> labels);
};

constexpr std::array<NamedScorer, 5> kScorers{{
    {"rouge_l", make_rouge_l},
    {"ssr_rouge_l", make_ssr_rouge_l},
    {"exact_match", make_exact_match},
    {"accuracy", make_accuracy},
    {"multiple_choice", make_multiple_choice},
}};

}  // namespace

void Scorer::check(const Target& /*target*/, const std::string& /*where*/) const {}

std::unique_ptr<Scorer> make_scorer(const std::string& name, std::vector<std::string> labels) {
  for (const NamedScorer& scorer : kScorers) {
    if (name == scorer.name) {
      return scorer.make(std::move(labels));
    }
  }
  const std::vector<std::string> names = metric_names();
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "there is no metric of this name",
      {.where = "config key eval.metric",
       .expected = base::join(names, " or "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names"});
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const NamedScorer& scorer : kScorers) {
    names.emplace_back(scorer.name);
  }
  return names;
}

}  // namespace baton::metrics
