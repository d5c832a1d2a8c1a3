#pragma once
// The inside of H5File, shared by its dataset part (h5_file.cpp) and its attribute part
// (h5_attributes.cpp).

#include <filesystem>
#include <span>
#include <string>

#include "baton/checkpoint/h5_file.hpp"
#include "h5_support.hpp"

namespace baton::checkpoint {

/// kModel: `item` of the file is not as expected.
[[noreturn]] void refuse_h5(const std::filesystem::path& path,
                            const std::string& item,
                            const std::string& expected,
                            const std::string& found);

/// kStorage, with HDF5's words.
[[noreturn]] void fail_h5_write(const std::filesystem::path& path, const std::string& item);

struct H5File::State {
  std::filesystem::path path;
  std::uint64_t num_bytes = 0;  // of a file that was opened; 0 of a new one
  H5Image image;                // of a new file; outlives `file`
  H5Turn turn = take_h5_turn();
  FileId file;

  void write(const std::string& name,
             H5Type type,
             const void* values,
             std::span<const std::int64_t> shape);
  void require_hard_links() const;
  DatasetId open_dataset(const std::string& name, H5Dataset& facts) const;
  void check_storage(const DatasetId& dataset,
                     const PropertyId& creation,
                     const H5Dataset& facts,
                     const std::string& item) const;
  template <typename Values>
  Values read(const std::string& name, H5Type type) const;

  /// `extent` < 0: a scalar.
  void write_attribute(
      const std::string& name, hid_t stored, hid_t memory, const void* values, std::int64_t extent);
  AttributeId open_attribute(const std::string& name) const;
  std::size_t attribute_extent(const AttributeId& attribute, const std::string& name) const;
  template <typename T>
  std::vector<T> read_attribute(const std::string& name,
                                hid_t stored,
                                hid_t memory,
                                const char* words) const;
  template <typename T>
  T read_scalar(const std::string& name, hid_t stored, hid_t memory, const char* words) const;
};

}  // namespace baton::checkpoint
