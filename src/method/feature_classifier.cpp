#include "baton/method/feature_classifier.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::method {

FeatureMap::FeatureMap(std::uint64_t seed, std::int64_t num_inputs, std::int64_t width)
    : num_inputs_(num_inputs), width_(width) {
  BATON_ASSERT(num_inputs > 0 && width > 1,
               std::to_string(num_inputs) + " to " + std::to_string(width));
  base::Random random(seed);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(num_inputs)));
  signs_.reserve(static_cast<std::size_t>((width - 1) * num_inputs));
  std::uint64_t bits = 0;
  for (std::int64_t i = 0; i < (width - 1) * num_inputs; ++i) {
    bits = i % 64 == 0 ? random.bits() : bits >> 1;
    signs_.push_back((bits & 1) != 0 ? scale : -scale);
  }
}

std::vector<double> FeatureMap::widen(std::span<const float> features) const {
  BATON_ASSERT(static_cast<std::int64_t>(features.size()) == num_inputs_,
               std::to_string(features.size()) + " features");
  double squares = 0;
  for (const float value : features) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const double size = std::sqrt(squares / static_cast<double>(num_inputs_)) + 1e-12;
  std::vector<double> phi(static_cast<std::size_t>(width_));
  phi[0] = 1;
  const float* row = signs_.data();
  for (std::size_t i = 1; i < phi.size(); ++i, row += num_inputs_) {
    double sum = 0;
    for (std::int64_t j = 0; j < num_inputs_; ++j) {
      sum +=
          static_cast<double>(row[j]) * static_cast<double>(features[static_cast<std::size_t>(j)]);
    }
    phi[i] = sum > 0 ? sum / size : 0;
  }
  return phi;
}

FeatureClassifier::FeatureClassifier(FeatureMap map, std::vector<std::vector<double>> weights)
    : map_(std::move(map)), weights_(std::move(weights)) {
  for (std::size_t stage = 0; stage < weights_.size(); ++stage) {
    BATON_ASSERT(weights_[stage].size() == (stage + 1) * static_cast<std::size_t>(map_.width()),
                 std::to_string(weights_[stage].size()) + " weights");
  }
}

std::size_t FeatureClassifier::best(std::span<const double> phi, std::size_t num_tasks) const {
  BATON_ASSERT(num_tasks >= 1 && num_tasks <= weights_.size(), std::to_string(num_tasks));
  BATON_ASSERT(static_cast<std::int64_t>(phi.size()) == map_.width(), std::to_string(phi.size()));
  const std::vector<double>& weights = weights_[num_tasks - 1];
  std::size_t best = 0;
  double highest = 0;
  for (std::size_t task = 0; task < num_tasks; ++task) {
    double score = 0;
    for (std::size_t i = 0; i < phi.size(); ++i) {
      score += weights[task * phi.size() + i] * phi[i];
    }
    if (task == 0 || score > highest) {
      best = task;
      highest = score;
    }
  }
  return best;
}

}  // namespace baton::method
