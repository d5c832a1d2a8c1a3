#include "report_command.hpp"

#include <iostream>

#include "baton/base/text.hpp"
#include "baton/report/report.hpp"

namespace baton::app {

int run_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out) {
  const report::WrittenReport written = report::write_report(runs, out);
  for (const std::string& sentence : written.verdict) {
    std::cout << base::printable(sentence, true) << '\n';
  }
  std::cout << '\n' << base::printable(written.files.front().string(), true) << " and beside it";
  for (std::size_t i = 1; i < written.files.size(); ++i) {
    std::cout << (i == 1 ? " " : ", ")
              << base::printable(written.files[i].filename().string(), true);
  }
  std::cout << '\n';
  return 0;
}

}  // namespace baton::app
