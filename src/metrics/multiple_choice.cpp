// Multiple choice by the written answer: 100 where it names the right option of its own row, 0
// where it names another or none; the last is counted apart. An answer names an option by its text
// or, where options are letters, by the letter ("B", "(B)", "b."). Texts are compared in their
// normal form, whole: an answer that goes on after the option names none.

#include <algorithm>

#include "baton/base/error.hpp"
#include "scorers.hpp"

namespace baton::metrics {

namespace {

bool holds(std::span<const std::string> texts, const std::string& normal) {
  return std::any_of(texts.begin(), texts.end(),
                     [&normal](const std::string& text) { return normal_form(text) == normal; });
}

class MultipleChoice : public Scorer {
 public:
  std::string name() const override { return "multiple_choice"; }
  bool has_fixed_answers() const override { return true; }

  Score score(std::string_view answer,
              const Target& target,
              const std::string& /*where*/) const override {
    const std::string found = normal_form(answer);
    if (!holds(target.options, found)) {
      return {.value = 0, .is_outside = true};
    }
    return {.value = holds(target.references, found) ? 100.0 : 0.0};
  }

  void check(const Target& target, const std::string& where) const override {
    if (target.options.empty()) {
      refuse(where, "a row that says what may be answered", "no options",
             "score this task by another metric, or use a layout with options (mmlu, bigbench, "
             "olora, alpaca with an \"options\" column)");
    }
    for (const std::string& reference : target.references) {
      if (!holds(target.options, normal_form(reference))) {
        refuse(where, "a right answer that is one of the row's options", "another text",
               "correct the row");
      }
    }
  }

 private:
  [[noreturn]] static void refuse(const std::string& where,
                                  const std::string& expected,
                                  const std::string& found,
                                  const std::string& fix) {
    throw base::Error(base::ErrorKind::kData, "multiple_choice does not fit this task",
                      {.where = where, .expected = expected, .found = found, .fix = fix});
  }
};

}  // namespace

std::unique_ptr<Scorer> make_multiple_choice(std::vector<std::string> /*labels*/) {
  return std::make_unique<MultipleChoice>();
}

}  // namespace baton::metrics
