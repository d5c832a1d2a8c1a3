// How the run of a folder stands, as its own files say.

#include <fmt/format.h>

#include "baton/run/run_record.hpp"
#include "baton/run/run_status.hpp"
#include "facts.hpp"

namespace baton::doctor {

namespace {

Finding unreadable(const std::string& check, const base::Error& error) {
  const base::ErrorDetails& details = error.details();
  std::string found = error.summary() + ": " + details.where;
  if (!details.found.empty()) {
    found += fmt::format(" ({})", details.found);
  }
  return {check, Health::kBad, found, details.fix, error.kind()};
}

Finding judge_status(const run::RunStatus& status) {
  if (status.state == "failed") {
    return {
        "status.json", Health::kWarning,
        fmt::format("{} failed with exit code {} on {} ({}): {}", status.command, status.exit_code,
                    status.host, status.updated, status.error.substr(0, status.error.find('\n'))),
        "status.json has the whole message; mend the cause and run the same command again",
        base::ErrorKind::kInternal};
  }
  return {"status.json",
          Health::kOk,
          fmt::format("{}: {} ({}, {})", status.command, status.state, status.host, status.updated),
          "",
          {}};
}

}  // namespace

std::vector<Finding> check_run(const std::filesystem::path& run) {
  std::vector<Finding> findings;
  try {
    if (run::RunFolder::exists(run)) {
      const run::RunFolder folder = run::RunFolder::load(run);
      findings.push_back({"run.json",
                          Health::kOk,
                          fmt::format("{} tasks, {} finished files", folder.record().tasks.size(),
                                      folder.record().files.size()),
                          "",
                          {}});
    }
  } catch (const base::Error& error) {
    findings.push_back(unreadable("run.json", error));
  }
  try {
    if (const auto status = run::read_status(run)) {
      findings.push_back(judge_status(*status));
    }
  } catch (const base::Error& error) {
    findings.push_back(unreadable("status.json", error));
  }
  return findings;
}

}  // namespace baton::doctor
