#include "baton/run/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

constexpr std::chrono::milliseconds kSettleTime{300};

LockHolder this_process() {
  LockHolder self;
  self.host = device::host_name();
  self.pid = ::getpid();
  self.process_start = device::process_start(self.pid);
  self.job = device::batch_job_id();
  self.since = device::utc_time();
  return self;
}

std::string to_text(const LockHolder& holder) {
  const base::OrderedJson json{{"host", holder.host},
                               {"pid", holder.pid},
                               {"process_start", holder.process_start},
                               {"job", holder.job},
                               {"since", holder.since}};
  return json.dump() + "\n";
}

// A lock that was cut short or is being written has no readable holder.
LockHolder read_holder(int fd) {
  std::array<char, 4096> bytes{};
  const ssize_t count = ::pread(fd, bytes.data(), bytes.size(), 0);
  const base::Json json = base::Json::parse(bytes.data(), bytes.data() + (count > 0 ? count : 0),
                                            nullptr, /*allow_exceptions=*/false);
  LockHolder holder;
  if (json.is_object()) {
    try {
      holder.host = json.at("host").get<std::string>();
      holder.pid = json.at("pid").get<std::int64_t>();
      holder.process_start = json.at("process_start").get<std::uint64_t>();
      holder.job = json.at("job").get<std::string>();
      holder.since = json.at("since").get<std::string>();
    } catch (const base::Json::exception&) {
      holder = {};
    }
  }
  return holder;
}

bool same_file(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

[[noreturn]] void fail_storage(const std::filesystem::path& path, int error) {
  throw base::Error(base::ErrorKind::kStorage, "cannot write the lock file of a run folder",
                    {.where = path.string(),
                     .expected = "",
                     .found = fmt::format("{} (errno {})", std::strerror(error), error),
                     .fix = "check free space, quota and permission of the folder"});
}

void log_take_over(const LockHolder& holder, const std::filesystem::path& path) {
  base::log_warning("run",
                    fmt::format("{}: taken over from process {} on {} (since {}), which is gone",
                                path.string(), holder.pid, holder.host, holder.since));
}

}  // namespace

LockVerdict judge_leftover(const LockHolder& holder, const LockHolder& self, bool known_unlocked) {
  if (holder.host == self.host) {
    const std::uint64_t start = device::process_start(holder.pid);
    const bool gone = start == 0 || (holder.process_start != 0 && start != holder.process_start);
    return known_unlocked || gone ? LockVerdict::kTakeOver : LockVerdict::kRefuse;
  }
  if (holder.host.empty()) {
    // Cut short while it was written. With flock that is proof enough; without, someone may just be
    // writing it.
    return known_unlocked ? LockVerdict::kTakeOver : LockVerdict::kRefuse;
  }
  const bool same_job = !holder.job.empty() && holder.job == self.job;
  return same_job ? LockVerdict::kTakeOver : LockVerdict::kRefuse;
}

RunLock::RunLock(const std::filesystem::path& run, LockMode mode) : path_(run / "run.lock") {
  try {
    mode == LockMode::kFlock ? acquire() : acquire_without_flock();
  } catch (...) {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
    throw;
  }
}

RunLock::RunLock(RunLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

RunLock::~RunLock() {
  if (fd_ >= 0) {
    if (same_file(fd_, path_)) {
      ::unlink(path_.c_str());
    }
    ::close(fd_);
  }
}

void RunLock::acquire() {
  constexpr int kMaxTries = 100;
  for (int i = 0; i < kMaxTries; ++i) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) {
      fail_storage(path_, errno);
    }
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      if (error == EWOULDBLOCK) {
        refuse(read_holder(fd_));
      }
      if (error == EINTR) {
        ::close(std::exchange(fd_, -1));
        continue;
      }
      ::close(std::exchange(fd_, -1));  // ENOLCK, EOPNOTSUPP, ENOSYS: no locks on this file system
      acquire_without_flock();
      return;
    }
    // Between open and flock the holder may have finished and removed the file: then this lock is
    // on no name.
    if (same_file(fd_, path_)) {
      struct stat facts {};
      ::fstat(fd_, &facts);
      if (facts.st_size > 0) {
        const LockHolder holder = read_holder(fd_);
        if (judge_leftover(holder, this_process(), true) == LockVerdict::kRefuse) {
          refuse(holder);
        }
        log_take_over(holder, path_);
      }
      write_holder();
      return;
    }
    ::close(std::exchange(fd_, -1));
  }
  refuse({});
}

void RunLock::acquire_without_flock() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ >= 0) {
    const LockHolder holder = read_holder(fd_);
    struct stat facts {};
    ::fstat(fd_, &facts);
    if (facts.st_size > 0) {  // zero bytes: the trace of an attempt with flock
      if (judge_leftover(holder, this_process(), false) == LockVerdict::kRefuse) {
        refuse(holder);
      }
      log_take_over(holder, path_);
    }
    ::close(std::exchange(fd_, -1));
    ::unlink(path_.c_str());
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    if (errno == EEXIST) {
      refuse({});
    }
    fail_storage(path_, errno);
  }
  write_holder();
  // Two programs that found the same leftover at the same moment: the later one removed the file of
  // the earlier.
  std::this_thread::sleep_for(kSettleTime);
  if (!same_file(fd_, path_)) {
    refuse({});
  }
}

void RunLock::write_holder() {
  const std::string text = to_text(this_process());
  const bool written = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) ==
                                                       static_cast<ssize_t>(text.size());
  if (!written) {
    fail_storage(path_, errno);
  }
}

void RunLock::refuse(const LockHolder& holder) const {
  const std::string found =
      holder.host.empty()
          ? "a lock file without a readable holder"
          : fmt::format("process {} on host {}, since {}{}", holder.pid, holder.host, holder.since,
                        holder.job.empty() ? "" : ", job " + holder.job);
  throw base::Error(
      base::ErrorKind::kUsage, "another program works in this run folder",
      {.where = path_.string(),
       .expected = "a run folder nobody else writes to",
       .found = found,
       .fix = "wait for it to end or use another output_dir; if you are sure it is gone, delete " +
              path_.string()});
}

}  // namespace baton::run
