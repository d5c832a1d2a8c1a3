#pragma once
// a[i][j] = score of the chain of the first i experts on task j, 0 <= i <= T (row 0 is the base),
// 0-100, and the summaries of continual learning:
//   AR = mean_j a[T][j]                       BWT = mean_{j<T} (a[T][j] - a[j][j])
//   FWT = mean_{j>1} a[j-1][j]                Forgetting = mean_{j<T} (max_{j<=i<T} a[i][j] -
//   a[T][j])
// with j counted from 1. (Lopez-Paz and Ranzato 2017 for BWT; FWT as in SSR, arXiv 2403.01244.)

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace baton::metrics {

class ScoreMatrix {
 public:
  explicit ScoreMatrix(std::vector<std::string> tasks);

  const std::vector<std::string>& tasks() const { return tasks_; }
  /// stage in [0, T], task in [0, T).
  double at(int stage, int task) const;
  void set(int stage, int task, double score);

  double average() const;
  std::optional<double> backward_transfer() const;  // none for T = 1
  std::optional<double> forward_transfer() const;
  std::optional<double> forgetting() const;

  /// "stage,<task>,..." and one line per stage; numbers with 17 significant digits, so that they
  /// read back equal.
  std::string to_csv() const;

 private:
  std::vector<std::string> tasks_;
  std::vector<double> scores_;  // [(T+1) x T]
};

}  // namespace baton::metrics
