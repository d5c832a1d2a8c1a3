#pragma once
// At most one program writes into a run folder. RUN/run.lock names host, process and time and is
// held with flock. World rank 0 takes the lock for all ranks. Left over by a program that is gone,
// the lock is taken over (with a log line) when that can be known: the process was one of this
// machine and is dead, or an earlier start of the same batch job. Otherwise the error says how to
// clear it.

#include <cstdint>
#include <filesystem>
#include <string>

namespace baton::run {

/// What run.lock says about its holder.
struct LockHolder {
  std::string host;
  std::int64_t pid = 0;
  std::uint64_t process_start = 0;  // tells a process from a later one of the same id; 0 if unknown
  std::string job;                  // batch job id, "" outside of one
  std::string since;                // UTC
};

enum class LockVerdict { kTakeOver, kRefuse };

/// What to do about a lock file that nobody is seen to hold. `known_unlocked`: flock works and was
/// got, so no live process of this machine has it.
LockVerdict judge_leftover(const LockHolder& holder, const LockHolder& self, bool known_unlocked);

/// kFlock falls back to kFileOnly by itself where the file system has no flock.
enum class LockMode { kFlock, kFileOnly };

class RunLock {
 public:
  /// kUsage when another program has the folder; kStorage when the file cannot be written.
  explicit RunLock(const std::filesystem::path& run, LockMode mode = LockMode::kFlock);
  ~RunLock();  // removes the file
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  void acquire();
  void acquire_without_flock();
  void write_holder();
  [[noreturn]] void refuse(const LockHolder& holder) const;

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace baton::run
