#pragma once
// A file opened for reading with suspicion: regular files only (a pipe or device would hang or
// harm), plain reads (a mapped file ends the program when the disk fails), sizes known before
// memory is asked for.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "baton/base/file.hpp"

namespace baton::checkpoint {

class RegularFile {
 public:
  /// kModel for a file that is missing or no regular file, kStorage for one that may not be read.
  explicit RegularFile(const std::filesystem::path& path,
                       base::Symlinks symlinks = base::Symlinks::kFollow);

  std::uint64_t size() const { return size_; }
  /// The next bytes; fewer than asked for at the end of the file. kStorage when the disk fails.
  std::size_t read(std::span<std::byte> bytes);
  /// The rest of the file; kModel above `max_bytes`.
  std::string read_text(std::uint64_t max_bytes);
  /// SHA-256 of the rest of the file.
  std::string sha256();

 private:
  std::filesystem::path path_;
  base::FileHandle fd_;
  std::uint64_t size_ = 0;
};

}  // namespace baton::checkpoint
