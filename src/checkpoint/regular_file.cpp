#include "regular_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"

namespace baton::checkpoint {

namespace {

constexpr std::size_t kStepBytes = std::size_t{1} << 20;

[[noreturn]] void refuse(base::ErrorKind kind,
                         const std::filesystem::path& path,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(kind, "cannot read a file",
                    {.where = path.string(),
                     .expected = expected,
                     .found = found,
                     .fix = "check the path, its permissions and the disk"});
}

std::string words(int error) {
  return fmt::format("{} (errno {})", std::strerror(error), error);
}

}  // namespace

RegularFile::RegularFile(const std::filesystem::path& path, base::Symlinks symlinks)
    : path_(path), fd_(base::open_input(path, base::ErrorKind::kModel, symlinks)) {
  struct stat facts {};
  if (::fstat(fd_.get(), &facts) != 0) {
    refuse(base::ErrorKind::kStorage, path, "a readable file", words(errno));
  }
  size_ = static_cast<std::uint64_t>(facts.st_size);
}

std::size_t RegularFile::read(std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(fd_.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      refuse(base::ErrorKind::kStorage, path_, "readable data", words(errno));
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

std::string RegularFile::read_text(std::uint64_t max_bytes) {
  if (size_ > max_bytes) {
    refuse(base::ErrorKind::kModel, path_, fmt::format("at most {} bytes", max_bytes),
           fmt::format("{} bytes", size_));
  }
  std::string text(static_cast<std::size_t>(size_), '\0');
  text.resize(read(std::as_writable_bytes(std::span(text))));
  return text;
}

std::string RegularFile::sha256() {
  std::vector<std::byte> bytes(kStepBytes);
  base::Sha256 digest;
  while (const std::size_t count = read(bytes)) {
    digest.add(std::span<const std::byte>(bytes.data(), count));
  }
  return digest.hex();
}

}  // namespace baton::checkpoint
