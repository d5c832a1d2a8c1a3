// What a folder can do: writing, syncing, locking, and whether it is the same folder on every
// machine.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/comm/share.hpp"
#include "baton/device/host.hpp"
#include "facts.hpp"

namespace baton::doctor {

namespace {

namespace fs = std::filesystem;

constexpr int kNumSyncs = 5;
constexpr std::size_t kProbeBytes = std::size_t{1} << 20;

fs::path nearest_existing(const fs::path& path) {
  std::error_code ignored;
  fs::path place = fs::absolute(path, ignored).lexically_normal();
  while (!fs::is_directory(place, ignored) && place.has_relative_path()) {
    place = place.parent_path();
  }
  return place;
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// A folder that is gone when this is.
class ProbeFolder {
 public:
  explicit ProbeFolder(const fs::path& parent)
      : path_(parent / fmt::format(".baton-doctor-{}", ::getpid())),
        made_(::mkdir(path_.c_str(), 0700) == 0) {}
  ~ProbeFolder() {
    std::error_code ignored;
    if (made_) {
      fs::remove_all(path_, ignored);
    }
  }
  ProbeFolder(const ProbeFolder&) = delete;
  ProbeFolder& operator=(const ProbeFolder&) = delete;
  bool made() const { return made_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool made_;
};

bool fail(PlaceFacts& facts, const char* step) {
  facts.failed_step = step;
  facts.failed_errno = errno;
  return false;
}

bool write_all(int fd, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno != EINTR) {
      return false;
    }
    done += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  return true;
}

bool probe_writing(const fs::path& folder, PlaceFacts& facts) {
  const std::string bytes(kProbeBytes, 'x');
  for (int i = 0; i < kNumSyncs; ++i) {
    const fs::path path = folder / std::to_string(i);
    const auto start = std::chrono::steady_clock::now();
    const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
    if (file.get() < 0) {
      return fail(facts, "open");
    }
    if (!write_all(file.get(), bytes)) {
      return fail(facts, "write");
    }
    if (::fsync(file.get()) != 0) {
      return fail(facts, "fsync");
    }
    facts.fsync_seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    struct stat status {};
    if (::fstat(file.get(), &status) == 0) {
      facts.time_ahead = static_cast<double>(status.st_mtim.tv_sec) +
                         1e-9 * static_cast<double>(status.st_mtim.tv_nsec) - device::utc_seconds();
    }
    if (::rename(path.c_str(), (folder / "renamed").c_str()) != 0) {
      return fail(facts, "rename");
    }
  }
  const Descriptor names(folder, O_RDONLY | O_DIRECTORY);
  return (names.get() >= 0 && ::fsync(names.get()) == 0) || fail(facts, "fsync of the folder");
}

void probe_lock(const fs::path& folder, PlaceFacts& facts) {
  const Descriptor first(folder / "lock", O_RDWR | O_CREAT);
  const Descriptor second(folder / "lock", O_RDWR | O_CREAT);
  if (::flock(first.get(), LOCK_EX | LOCK_NB) != 0) {
    facts.lock_errno = errno;
    return;
  }
  facts.second_lock_refused = ::flock(second.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

PlaceFacts gather_place_facts(const fs::path& path) {
  PlaceFacts facts;
  const fs::path place = nearest_existing(path);
  std::error_code ignored;
  facts.path = fs::absolute(path, ignored).lexically_normal().string();
  facts.tested_path = place.string();
  if (facts.path.size() > 1 && facts.path.ends_with('/')) {
    facts.path.pop_back();
  }
  if (facts.tested_path.size() > 1 && facts.tested_path.ends_with('/')) {
    facts.tested_path.pop_back();
  }
  struct statfs kind {};
  if (::statfs(place.c_str(), &kind) == 0) {
    facts.file_system = static_cast<std::int64_t>(kind.f_type);
  }
  struct statvfs space {};
  if (::statvfs(place.c_str(), &space) == 0) {
    facts.free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
    if (space.f_files > 0) {
      facts.free_files = space.f_favail;
    }
  }
  const ProbeFolder folder(place);
  if (!folder.made()) {
    fail(facts, "mkdir");
  } else if (probe_writing(folder.path(), facts)) {
    probe_lock(folder.path(), facts);
  }
  return facts;
}

std::vector<Finding> check_shared_folder(comm::ProcessWorld& world,
                                         comm::Communicator& group,
                                         const fs::path& path) {
  const std::string parent = comm::value_of_leader(group, nearest_existing(path).string());
  std::optional<ProbeFolder> folder;
  std::optional<Descriptor> held;
  if (world.rank() == 0) {
    folder.emplace(parent);
    held.emplace(folder->path() / "lock", O_RDWR | O_CREAT);
    if (held->get() < 0 || ::flock(held->get(), LOCK_EX | LOCK_NB) != 0) {
      held.reset();
    }
  }
  const std::string probe =
      comm::value_of_leader(group, held ? folder->path().string() : std::string());
  std::string answer = "refused";
  if (!probe.empty() && world.rank() != 0) {
    const Descriptor file(fs::path(probe) / "lock", O_RDWR);
    if (file.get() < 0) {
      answer = "unseen";
    } else if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      answer = "granted";
    }
  }
  const std::vector<std::string> answers = group.all_gather_bytes(answer);
  if (probe.empty()) {
    return {};  // writing or locking failed on rank 0: its own rows say so
  }
  for (std::size_t rank = 0; rank < answers.size(); ++rank) {
    if (answers[rank] == "unseen") {
      return {{"shared folder", Health::kBad,
               fmt::format("rank {} does not see what rank 0 writes in {}", rank, parent),
               "put runs on a file system that all machines mount at the same path",
               base::ErrorKind::kStorage}};
    }
  }
  for (std::size_t rank = 0; rank < answers.size(); ++rank) {
    if (answers[rank] == "granted") {
      return {{"shared folder",
               Health::kWarning,
               fmt::format("rank {} got a lock that rank 0 holds", rank),
               "locks do not reach other machines: never start two runs in one folder (or mount it "
               "with locks)",
               {}}};
    }
  }
  return {{"shared folder", Health::kOk, "all ranks see it, and its locks", "", {}}};
}

}  // namespace baton::doctor
