#pragma once
// ROUGE-L F-measure of one prediction, 0-100, equal to the Python package rouge-score 0.1.2 (no
// stemming): lower case, every run of characters outside [a-z0-9] separates tokens, F = 2PR/(P+R)
// over the longest common subsequence. Lin 2004, "ROUGE: A Package for Automatic Evaluation of
// Summaries".

#include <span>
#include <string>
#include <string_view>

namespace baton::metrics {

double rouge_l(std::string_view prediction, std::string_view reference);
/// The best over several references; 0 when there is none.
double rouge_l_best(std::string_view prediction, std::span<const std::string> references);

}  // namespace baton::metrics
