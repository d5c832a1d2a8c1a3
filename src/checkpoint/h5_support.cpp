#include "h5_support.hpp"

#include <exception>

namespace baton::checkpoint {

namespace {

herr_t keep_description(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc != nullptr) {
    *static_cast<std::string*>(text) = error->desc;
  }
  return 0;
}

// HDF5 asks these for the memory of an image; `image` is the H5Image.
void* allocate_image(std::size_t size, H5FD_file_image_op_t, void* image) {
  return static_cast<H5Image*>(image)->resize(size);
}
void* reallocate_image(void*, std::size_t size, H5FD_file_image_op_t, void* image) {
  return static_cast<H5Image*>(image)->resize(size);
}
herr_t keep_image(void*, H5FD_file_image_op_t, void*) {
  return 0;
}
void* share_image(void* image) {
  return image;
}
herr_t unshare_image(void*) {
  return 0;
}

}  // namespace

bool H5Image::attach_to(hid_t file_access) {
  H5FD_file_image_callbacks_t callbacks{};
  callbacks.image_malloc = allocate_image;
  callbacks.image_realloc = reallocate_image;
  callbacks.image_free = keep_image;
  callbacks.udata_copy = share_image;
  callbacks.udata_free = unshare_image;
  callbacks.udata = this;
  return H5Pset_file_image_callbacks(file_access, &callbacks) >= 0;
}

void* H5Image::resize(std::size_t size) noexcept {
  try {
    bytes_.resize(size);
    return bytes_.data();
  } catch (const std::exception&) {
    return nullptr;
  }
}

H5Turn take_h5_turn() {
  static std::recursive_mutex mutex;
  H5Turn turn(mutex, std::defer_lock);
  hbool_t is_threadsafe = false;
  if (H5is_library_threadsafe(&is_threadsafe) < 0 || !is_threadsafe) {
    turn.lock();
  }
  return turn;
}

void prepare_h5() {
  H5open();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
  H5Eclear2(H5E_DEFAULT);
}

std::string take_h5_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_description, &text);
  H5Eclear2(H5E_DEFAULT);
  std::erase(text, '\n');
  text = text.substr(0, text.find(", ptr = "));  // an address says nothing to a user
  return text.empty() ? "HDF5 gave no reason" : "HDF5: " + text;
}

std::string describe_h5_type(hid_t type) {
  const std::string bytes = std::to_string(H5Tget_size(type));
  const std::string bits = std::to_string(8 * H5Tget_size(type));
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return bits + (H5Tget_sign(type) == H5T_SGN_NONE ? "-bit unsigned integer" : "-bit integer");
    case H5T_FLOAT:
      return bits + "-bit floating-point number";
    case H5T_STRING:
      return H5Tis_variable_str(type) > 0 ? "text of variable length"
                                          : "text of " + bytes + " bytes";
    default:
      return "another type of " + bytes + " bytes";
  }
}

}  // namespace baton::checkpoint
