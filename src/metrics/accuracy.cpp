// Accuracy over a set of labels: 100 where the answer is a reference, 0 where it is another label
// or none of them; the last is counted apart, for it tells a model that chooses wrongly from one
// that does not choose. Texts are compared in their normal form.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "baton/base/error.hpp"
#include "scorers.hpp"

namespace baton::metrics {

namespace {

class Accuracy : public Scorer {
 public:
  explicit Accuracy(const std::vector<std::string>& labels) {
    for (const std::string& label : labels) {
      labels_.insert(normal_form(label));
    }
  }

  std::string name() const override { return "accuracy"; }
  bool has_fixed_answers() const override { return true; }

  Score score(std::string_view answer,
              const Target& target,
              const std::string& /*where*/) const override {
    const std::string found = normal_form(answer);
    if (!labels_.contains(found)) {
      return {.value = 0, .is_outside = true};
    }
    const bool right = std::any_of(
        target.references.begin(), target.references.end(),
        [&found](const std::string& reference) { return normal_form(reference) == found; });
    return {.value = right ? 100.0 : 0.0};
  }

  void check(const Target& target, const std::string& where) const override {
    for (const std::string& reference : target.references) {
      if (!labels_.contains(normal_form(reference))) {
        throw base::Error(base::ErrorKind::kData, "an answer is none of the task's labels",
                          {.where = where,
                           .expected = fmt::format("one of the {} labels", labels_.size()),
                           .found = "another text",
                           .fix = "add it to \"labels\" of the task's entry, or correct the row"});
      }
    }
  }

 private:
  std::set<std::string> labels_;
};

}  // namespace

std::unique_ptr<Scorer> make_accuracy(std::vector<std::string> labels) {
  return std::make_unique<Accuracy>(labels);
}

}  // namespace baton::metrics
