#pragma once
// Files: whole reads with a size cap, read-only mappings, and writes that either are there whole or
// not at all (temporary name, data sync, rename, directory sync). Errors: kStorage for writing and
// permission, the kind given by the caller for reading.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "baton/base/error.hpp"
#include "baton/base/handle.hpp"

namespace baton::base {

struct CloseFile {
  void operator()(int descriptor) const noexcept;
};
using FileHandle = Handle<int, CloseFile, -1>;

enum class Symlinks { kFollow, kRefuse };

/// Opens an input file, every one of them: regular files only, for a pipe or a device would hang or
/// harm. Missing, or something else: an error of `kind`; not readable: kStorage.
FileHandle open_input(const std::filesystem::path& path,
                      ErrorKind kind,
                      Symlinks symlinks = Symlinks::kFollow);

/// Reads a whole regular file. A missing file, or one above `max_bytes`, is an error of `kind`.
std::string read_file(const std::filesystem::path& path,
                      ErrorKind kind,
                      std::uint64_t max_bytes = std::uint64_t{4} << 30);

/// Git LFS leaves a few lines of text in place of a file that was not fetched: an error of `kind`
/// that says so where `content` is such a text; else nothing.
void refuse_git_lfs_pointer(std::string_view content, ErrorKind kind, const std::string& origin);

/// Replaces `path` by `content` in one step.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Writes a file that must not exist under its own name and makes its data durable (fsync); removed
/// again when that fails. Its name is durable after sync_folder.
void write_new_file(const std::filesystem::path& path, std::string_view content);

/// Makes the names in a folder durable (fsync).
void sync_folder(const std::filesystem::path& folder);

/// rename(2): `to` is replaced in one step.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

/// `path` with ".tmp.<pid>" appended: where writers put what is not finished.
std::filesystem::path temporary_name(const std::filesystem::path& path);

/// Makes a folder and its parents, each name durable; kStorage with the errno in words when that
/// fails.
void make_directories(const std::filesystem::path& path);

/// A read-only shared mapping of a whole file; the pages are shared between processes of a machine.
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, ErrorKind kind);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace baton::base
