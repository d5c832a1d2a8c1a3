#pragma once
// The scorers by name (config key eval.metric, or `metric` of a task's entry). A scorer gives 0-100
// for one answer; a task's score is the mean over its queries. A new one is a file and a line in the
// list of metric.cpp.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::metrics {

/// What an answer is held against.
struct Target {
  std::span<const std::string> references;    // the best counts
  std::span<const std::string> options = {};  // what may be answered, where the row says so
};

struct Score {
  double value = 0;         // 0-100
  bool is_outside = false;  // the answer is none of those that are possible; its value is 0
};

class Scorer {
 public:
  Scorer() = default;
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;
  virtual ~Scorer() = default;

  virtual std::string name() const = 0;
  /// `where` names the query in errors. kData: text that this scorer must not score.
  virtual Score score(std::string_view answer,
                      const Target& target,
                      const std::string& where) const = 0;
  /// Refuses a row that no answer could be scored against: kData. Asked before anything is decoded.
  virtual void check(const Target& target, const std::string& where) const;
  /// Answers outside a fixed set are counted apart.
  virtual bool has_fixed_answers() const { return false; }
};

/// "rouge_l", "ssr_rouge_l", "exact_match", "accuracy" or "multiple_choice"; another name is a
/// kUsage error with the nearest. `labels`: the answers that accuracy knows; the others ignore it.
std::unique_ptr<Scorer> make_scorer(const std::string& name, std::vector<std::string> labels = {});

/// The names make_scorer knows.
std::vector<std::string> metric_names();

/// What `exact_match`, `accuracy` and `multiple_choice` compare: case folded and composed, without
/// ASCII punctuation, single spaces. Text of punctuation alone keeps it; text that is not UTF-8
/// stays as it is.
std::string normal_form(std::string_view text);

}  // namespace baton::metrics
