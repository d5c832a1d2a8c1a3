#include "baton/base/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "baton/base/text.hpp"

namespace baton::base {

namespace {

[[noreturn]] void throw_storage(const std::string& action,
                                const std::filesystem::path& path,
                                int error) {
  std::string fix = "check the path and its permissions";
  if (error == ENOSPC || error == EDQUOT) {
    fix = "free space or raise the quota, then run the same command again; finished files are kept";
  } else if (error == EFBIG) {
    fix = "raise the file size limit (ulimit -f), then run the same command again";
  } else if (error == EROFS || error == EACCES || error == EPERM) {
    fix = "choose a folder this user can write to";
  }
  throw Error(
      ErrorKind::kStorage, "cannot " + action,
      {.where = path.string(),
       .expected = "",
       .found = std::string(std::strerror(error)) + " (errno " + std::to_string(error) + ")",
       .fix = fix});
}

std::uint64_t size_of(const FileHandle& fd) {
  struct stat facts {};
  ::fstat(fd.get(), &facts);
  return static_cast<std::uint64_t>(facts.st_size);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Errors name `path`, what the caller knows the file as; `temporary` is where the bytes go.
void write_synced(const std::filesystem::path& temporary,
                  const std::filesystem::path& path,
                  int flags,
                  std::string_view content) {
  FileHandle fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666));
  if (!fd) {
    throw_storage("create a file", path, errno);
  }
  const auto fail = [&](const char* action, int error) {
    fd.reset();
    ::unlink(temporary.c_str());
    throw_storage(action, path, error);
  };
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::write(fd.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      fail("write a file", errno);
    }
    done += static_cast<std::size_t>(count);
  }
  if (::fsync(fd.get()) != 0) {
    fail("make a file durable (fsync)", errno);
  }
  if (::close(fd.release()) != 0) {
    fail("write a file (close)", errno);
  }
}

}  // namespace

void refuse_git_lfs_pointer(std::string_view content, ErrorKind kind, const std::string& origin) {
  if (!content.starts_with("version https://git-lfs.github.com/spec/")) {
    return;
  }
  throw Error(kind, "a file is a Git LFS pointer, not the file itself",
              {.where = origin,
               .expected = "the content",
               .found = "the few lines that a git clone without Git LFS leaves in its place",
               .fix = "install git-lfs, then run `git lfs pull` in the folder that was cloned; or "
                      "download the file itself"});
}

void CloseFile::operator()(int descriptor) const noexcept {
  ::close(descriptor);
}

FileHandle open_input(const std::filesystem::path& path, ErrorKind kind, Symlinks symlinks) {
  // Without O_NONBLOCK the open of a pipe waits for a writer.
  const int follow = symlinks == Symlinks::kRefuse ? O_NOFOLLOW : 0;
  FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | follow));
  const auto refuse = [&](const char* summary, const char* expected, const std::string& found) {
    throw Error(
        kind, summary,
        {.where = path.string(), .expected = expected, .found = found, .fix = "check the path"});
  };
  if (!file) {
    const int error = errno;
    if (error == ELOOP && symlinks == Symlinks::kRefuse) {
      refuse("not a regular file", "a regular file", "a symbolic link");
    }
    if (error != ENOENT && error != ENOTDIR && error != ENXIO) {
      throw_storage("open a file for reading", path, error);
    }
    refuse("cannot open a file for reading", "a readable file", std::strerror(error));
  }
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    refuse("not a regular file", "a regular file", "a folder, pipe or device");
  }
  return file;
}

std::string read_file(const std::filesystem::path& path, ErrorKind kind, std::uint64_t max_bytes) {
  const FileHandle fd = open_input(path, kind);
  const std::uint64_t size = size_of(fd);
  if (size > max_bytes) {
    throw Error(kind, "a file is larger than what is read here",
                {.where = path.string(),
                 .expected = "at most " + format_bytes(max_bytes),
                 .found = format_bytes(size),
                 .fix = "check that this is the right file"});
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(fd.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      throw_storage("read a file", path, errno);
    }
    if (count == 0) {
      content.resize(done);
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return content;
}

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  return path.string() + ".tmp." + std::to_string(::getpid());
}

void write_new_file(const std::filesystem::path& path, std::string_view content) {
  write_synced(path, path, O_EXCL, content);
}

void sync_folder(const std::filesystem::path& folder) {
  const FileHandle fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder; that they say so (EINVAL) is no failure of the write. A
  // folder that may be written but not read (EACCES) cannot be opened for it either.
  if (fd ? ::fsync(fd.get()) != 0 && errno != EINVAL : errno != EACCES) {
    throw_storage("make a folder durable (fsync)", folder, errno);
  }
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw_storage("rename " + from.filename().string(), to, errno);
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = temporary_name(path);
  write_synced(temporary, path, O_TRUNC, content);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    throw_storage("give a finished file its name (rename)", path, error);
  }
  sync_folder(folder_of(path));
}

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error)) {
    return;
  }
  const std::filesystem::path parent = folder_of(path);
  if (parent != path) {
    make_directories(parent);
  }
  if (::mkdir(path.c_str(), 0777) == 0) {
    sync_folder(parent);
    return;
  }
  const int reason = errno;  // another process may have made it
  if (!std::filesystem::is_directory(path, error)) {
    throw_storage("create a folder", path, reason);
  }
}

MappedFile::MappedFile(const std::filesystem::path& path, ErrorKind kind) : path_(path) {
  const FileHandle fd = open_input(path, kind);
  size_ = static_cast<std::size_t>(size_of(fd));
  if (size_ == 0) {
    return;  // mmap refuses length 0
  }
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) {
    throw_storage("map a file into memory", path, errno);
  }
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

}  // namespace baton::base
