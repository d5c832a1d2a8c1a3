#pragma once
// `baton report`: evaluated runs side by side as one HTML page that needs no network and no script,
// and its tables as Markdown, LaTeX and CSV beside it.

#include <filesystem>
#include <string>
#include <vector>

#include "baton/report/loaded_run.hpp"
#include "baton/report/table.hpp"

namespace baton::report {

/// A report's texts; nothing is written.
struct Report {
  std::string html;
  std::string markdown;
  std::string latex;
  std::vector<std::pair<std::string, std::string>> csv;  // slug, text
  std::vector<std::string> verdict;                      // sentences
};

Report make_report(const std::vector<LoadedRun>& runs);

/// Reads the runs, writes report.html (or `out`) and, beside it, .md, .tex and -SLUG.csv under the
/// same name. Returns the files, the page first. kUsage for runs that cannot be reported or an
/// `out` that is a folder or not named .html; kStorage where nothing can be written.
struct WrittenReport {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> verdict;
};
WrittenReport write_report(const std::vector<std::filesystem::path>& folders,
                           const std::filesystem::path& out);

}  // namespace baton::report
