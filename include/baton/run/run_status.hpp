#pragma once
// RUN/status.json: how the run stands or how it ended, for people and for batch scripts (mpirun and
// srun do not hand exit codes through). The first failure of an attempt wins: what other ranks
// report after it is an echo.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "baton/base/error.hpp"

namespace baton::run {

struct RunStatus {
  std::string state = "running";  // "running" | "done" | "failed" | "stopped"
  std::string command;            // "train", "eval", ...
  std::int64_t exit_code = 0;
  std::string kind;   // base::kind_name of the error, else ""
  std::string error;  // the whole message
  std::int64_t rank = 0;
  std::string host;
  std::int64_t pid = 0;
  std::string started;  // UTC
  std::string updated;  // UTC
};

/// Command, rank, host, pid and times of this process; state "running".
RunStatus status_here(const std::string& command, std::int64_t world_rank);

/// The same with state "failed" ("stopped" for kStopped), exit code, kind and message.
RunStatus failure_of(const RunStatus& running, const base::Error& error);

/// Starts an attempt: forgets the failure of an earlier one. One process (rank 0) calls it, before
/// the others can fail.
void begin_status(const std::filesystem::path& run, const RunStatus& status);

/// Rewrites status.json with `updated` = now. False, and nothing written, once a failure of this
/// attempt is noted.
bool write_status(const std::filesystem::path& run, RunStatus status);

/// Any rank, at any time. True when this was the attempt's first failure; never throws.
bool write_failure_once(const std::filesystem::path& run, const RunStatus& failure) noexcept;

/// The noted failure if there is one, else status.json; nothing when neither exists. Damaged:
/// kModel.
std::optional<RunStatus> read_status(const std::filesystem::path& run);

}  // namespace baton::run
