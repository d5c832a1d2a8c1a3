#pragma once
// `baton report`: runs side by side as a page and as tables.

#include <filesystem>
#include <vector>

namespace baton::app {

/// Prints who is ahead and which files were written.
int run_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out);

}  // namespace baton::app
