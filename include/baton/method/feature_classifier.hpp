#pragma once
// A linear classifier of tasks on widened features of the frozen base (Any-SSR, ICCV 2025): a fixed
// random map and a ReLU make M numbers phi of the D that a prompt leaves, and one weight vector a
// task scores them. The weights are solved elsewhere, in closed form; here they are applied.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace baton::method {

/// phi = (1, relu(s R x)), x scaled to a root mean square of 1, R of +-1 / sqrt(D): pure.
class FeatureMap {
 public:
  /// `width` M counts the constant; at least 2.
  FeatureMap(std::uint64_t seed, std::int64_t num_inputs, std::int64_t width);

  std::int64_t num_inputs() const { return num_inputs_; }
  std::int64_t width() const { return width_; }
  /// x [D] -> phi [M].
  std::vector<double> widen(std::span<const float> features) const;

 private:
  std::int64_t num_inputs_;
  std::int64_t width_;
  std::vector<float> signs_;  // [M - 1, D]
};

class FeatureClassifier {
 public:
  /// weights[i - 1]: [i, M], of the stage with the first i tasks.
  FeatureClassifier(FeatureMap map, std::vector<std::vector<double>> weights);

  std::size_t num_tasks() const { return weights_.size(); }
  const FeatureMap& map() const { return map_; }
  /// The task (from 0) with the highest score of phi [M] at the stage of the first `num_tasks`, one
  /// or more; the older of equals.
  std::size_t best(std::span<const double> phi, std::size_t num_tasks) const;

 private:
  FeatureMap map_;
  std::vector<std::vector<double>> weights_;
};

}  // namespace baton::method
