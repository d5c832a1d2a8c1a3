#pragma once
// `baton calibrate`: thresholds of a finished run anew, from the curves in its experts' files.

#include <filesystem>
#include <string>

namespace baton::app {

/// `target` as method::parse_threshold_target reads it; "trained" takes set thresholds away.
int run_calibrate(const std::filesystem::path& run, const std::string& target);

}  // namespace baton::app
