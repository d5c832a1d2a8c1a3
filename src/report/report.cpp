#include "baton/report/report.hpp"

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"

namespace baton::report {
namespace {

namespace fs = std::filesystem;

void check_out(const fs::path& out) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(out, ignored);
  if (is_folder || out.extension() != ".html") {
    throw base::Error(base::ErrorKind::kUsage, "--out names no page",
                      {.where = "command line",
                       .expected = "a file that ends in .html",
                       .found = out.string() + (is_folder ? ", a folder" : ""),
                       .fix = is_folder ? "for example --out " + (out / "report.html").string()
                                        : "for example --out report.html"});
  }
}

}  // namespace

WrittenReport write_report(const std::vector<fs::path>& folders, const fs::path& out) {
  const fs::path page = out.empty() ? folders.front() / "report.html" : out;
  check_out(page);
  const std::vector<LoadedRun> runs = load_runs(folders);
  check_comparable(runs);
  const Report report = make_report(runs);
  if (page.has_parent_path()) {
    base::make_directories(page.parent_path());
  }
  WrittenReport written{{}, report.verdict};
  const auto write = [&](const std::string& ending, const std::string& text) {
    const fs::path path = page.parent_path() / (page.stem().string() + ending);
    base::write_file_atomically(path, text);
    written.files.push_back(path);
  };
  write(".html", report.html);
  write(".md", report.markdown);
  write(".tex", report.latex);
  for (const auto& [slug, text] : report.csv) {
    write("-" + slug + ".csv", text);
  }
  return written;
}

}  // namespace baton::report
