#pragma once
// What the HDF5 sources share: owners of HDF5 ids, and HDF5's error stack as text.

#include <hdf5.h>

#include <mutex>
#include <string>
#include <vector>

#include "baton/base/handle.hpp"

namespace baton::checkpoint {

template <auto kClose>
struct H5Closer {
  void operator()(hid_t id) const noexcept { kClose(id); }
};
template <auto kClose>
using H5Id = base::Handle<hid_t, H5Closer<kClose>, hid_t{-1}>;

using FileId = H5Id<H5Fclose>;
using GroupId = H5Id<H5Gclose>;
using DatasetId = H5Id<H5Dclose>;
using SpaceId = H5Id<H5Sclose>;
using TypeId = H5Id<H5Tclose>;
using AttributeId = H5Id<H5Aclose>;
using PropertyId = H5Id<H5Pclose>;

/// The memory in which HDF5 builds a new file; holds the whole file once that is closed. Its
/// address must stay.
class H5Image {
 public:
  H5Image() = default;
  H5Image(const H5Image&) = delete;
  H5Image& operator=(const H5Image&) = delete;

  bool attach_to(hid_t file_access);
  const std::vector<char>& bytes() const { return bytes_; }
  void* resize(std::size_t size) noexcept;  // nullptr when there is no memory

 private:
  std::vector<char> bytes_;
};

/// Held while a file is open, where HDF5 was built without its own thread safety: files of two
/// threads then take turns.
using H5Turn = std::unique_lock<std::recursive_mutex>;
H5Turn take_h5_turn();

/// Switches HDF5's own printing and its filter plug-ins off (for this thread), and forgets older
/// errors.
void prepare_h5();

/// The innermost message of HDF5's error stack, which says the cause; clears the stack.
std::string take_h5_error();

/// Words for a type: "64-bit integer", "text of 5 bytes", ...
std::string describe_h5_type(hid_t type);

}  // namespace baton::checkpoint
