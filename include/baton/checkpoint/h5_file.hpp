#pragma once
// A thin owner of one HDF5 file, on which all of Baton's HDF5 files stand. Written for files whose
// bytes depend on their content alone (no times, fixed format bounds) and which are read with
// suspicion: chunked datasets with Fletcher32 only, no external storage, no soft or external links,
// no filter plug-ins, sizes checked before memory is asked for. HDF5's own locks are off: a file is
// written once under a temporary name and never changed afterwards, and locking fails on many
// network file systems (HDF5_USE_FILE_LOCKING still overrides this). HDF5 headers stay in the
// source. One thread at a time for a file; each thread may have its own.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::checkpoint {

/// What the elements of a dataset are.
enum class H5Type { kFloat32, kInt64, kByte };

struct H5Dataset {
  H5Type type = H5Type::kFloat32;
  std::vector<std::int64_t> shape;
  std::int64_t num_elements() const;
};

class H5File {
 public:
  /// A new file, built in memory. Nothing is on disk until close() puts the whole of it there in
  /// one step.
  static H5File create(const std::filesystem::path& path);

  /// Read-only. A file that is cut short, is no HDF5 file of this format version or is damaged, or
  /// that holds a soft or external link at any level: kModel.
  static H5File open(const std::filesystem::path& path);

  H5File(H5File&&) noexcept;
  H5File& operator=(H5File&&) noexcept;
  H5File(const H5File&) = delete;
  H5File& operator=(const H5File&) = delete;
  ~H5File();  // a new file that was not closed leaves nothing behind

  const std::filesystem::path& path() const;

  /// Puts a new file on disk (temporary name, sync, rename); kStorage, the old file untouched, when
  /// that fails.
  void close();

  /// Ends a new file without putting it on disk; its bytes, which live as long as this object.
  std::string_view finish_image();

  // Writing. Names are absolute paths without the leading slash ("adapter/x"); errors are kStorage.
  void make_group(const std::string& name);
  void write_floats(const std::string& name,
                    std::span<const float> values,
                    std::span<const std::int64_t> shape);
  void write_ints(const std::string& name, std::span<const std::int64_t> values);
  void write_bytes(const std::string& name, std::string_view bytes);

  // Attributes of the root. Texts are UTF-8 of fixed length, padded with NUL.
  void set_text(const std::string& name, std::string_view value);
  void set_texts(const std::string& name, std::span<const std::string> values);
  void set_int(const std::string& name, std::int64_t value);
  void set_ints(const std::string& name, std::span<const std::int64_t> values);
  void set_unsigned(const std::string& name, std::uint64_t value);
  void set_real(const std::string& name, double value);
  void set_reals(const std::string& name, std::span<const double> values);

  // Reading. Anything missing, of another type, or damaged is a kModel error that names file and
  // item.
  std::string text(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  std::vector<std::int64_t> integers(const std::string& name) const;
  std::uint64_t unsigned_integer(const std::string& name) const;
  double real(const std::string& name) const;
  std::vector<double> reals(const std::string& name) const;

  /// The names in a group ("" is the root) in the order they were made.
  std::vector<std::string> names_in(const std::string& group) const;
  /// Type and declared shape, checked: allowed layout, and no more data declared than the file has
  /// bytes.
  H5Dataset describe(const std::string& name) const;
  std::vector<float> read_floats(const std::string& name) const;
  std::vector<std::int64_t> read_ints(const std::string& name) const;
  std::string read_bytes(const std::string& name) const;

 private:
  struct State;
  explicit H5File(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The HDF5 version this program runs with, e.g. "1.10.8".
std::string h5_library_version();

}  // namespace baton::checkpoint
