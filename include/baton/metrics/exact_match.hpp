#pragma once
// Exact match of one prediction, 0 or 100, after both texts were normalised: Unicode case folded
// and composed (NFC), ASCII punctuation dropped, runs of white space one space, none at the ends. A
// reference of punctuation alone is compared as it stands. Text that is not UTF-8 is compared byte
// by byte.

#include <span>
#include <string>
#include <string_view>

namespace baton::metrics {

double exact_match(std::string_view prediction, std::string_view reference);
/// The best over several references; 0 when there is none.
double exact_match_best(std::string_view prediction, std::span<const std::string> references);

}  // namespace baton::metrics
