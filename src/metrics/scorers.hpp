#pragma once
// The makers of the scorers, for the list in metric.cpp, and what more than one of them uses.

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "baton/metrics/metric.hpp"

namespace baton::metrics {

std::unique_ptr<Scorer> make_rouge_l(std::vector<std::string> labels);
std::unique_ptr<Scorer> make_ssr_rouge_l(std::vector<std::string> labels);
std::unique_ptr<Scorer> make_exact_match(std::vector<std::string> labels);
std::unique_ptr<Scorer> make_accuracy(std::vector<std::string> labels);
std::unique_ptr<Scorer> make_multiple_choice(std::vector<std::string> labels);

std::size_t longest_common_subsequence(const std::vector<std::string>& a,
                                       const std::vector<std::string>& b);

}  // namespace baton::metrics
