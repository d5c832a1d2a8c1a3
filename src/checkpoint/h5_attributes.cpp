#include <algorithm>

#include "h5_state.hpp"

namespace baton::checkpoint {

namespace {

TypeId text_type(std::size_t num_bytes) {
  TypeId type(H5Tcopy(H5T_C_S1));
  const bool ready = type && H5Tset_size(type.get(), std::max<std::size_t>(num_bytes, 1)) >= 0 &&
                     H5Tset_strpad(type.get(), H5T_STR_NULLPAD) >= 0 &&
                     H5Tset_cset(type.get(), H5T_CSET_UTF8) >= 0;
  return ready ? std::move(type) : TypeId();
}

std::string without_padding(const char* bytes, std::size_t num_bytes) {
  while (num_bytes > 0 && bytes[num_bytes - 1] == '\0') {
    --num_bytes;
  }
  return {bytes, num_bytes};
}

}  // namespace

void H5File::State::write_attribute(
    const std::string& name, hid_t stored, hid_t memory, const void* values, std::int64_t extent) {
  const hsize_t size = static_cast<hsize_t>(std::max<std::int64_t>(extent, 0));
  const SpaceId space(extent < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, nullptr));
  const AttributeId attribute(
      space ? H5Acreate2(file.get(), name.c_str(), stored, space.get(), H5P_DEFAULT, H5P_DEFAULT)
            : -1);
  if (!attribute || (extent != 0 && H5Awrite(attribute.get(), memory, values) < 0)) {
    fail_h5_write(path, "attribute " + name);
  }
}

void H5File::set_text(const std::string& name, std::string_view value) {
  const TypeId type = text_type(value.size());
  const std::string padded = value.empty() ? std::string(1, '\0') : std::string(value);
  state_->write_attribute(name, type.get(), type.get(), padded.data(), -1);
}

void H5File::set_texts(const std::string& name, std::span<const std::string> values) {
  std::size_t width = 1;
  for (const std::string& value : values) {
    width = std::max(width, value.size());
  }
  std::string block;
  for (const std::string& value : values) {
    block += value + std::string(width - value.size(), '\0');
  }
  const TypeId type = text_type(width);
  state_->write_attribute(name, type.get(), type.get(), block.data(),
                          static_cast<std::int64_t>(values.size()));
}

void H5File::set_int(const std::string& name, std::int64_t value) {
  state_->write_attribute(name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, -1);
}
void H5File::set_ints(const std::string& name, std::span<const std::int64_t> values) {
  state_->write_attribute(name, H5T_STD_I64LE, H5T_NATIVE_INT64, values.data(),
                          static_cast<std::int64_t>(values.size()));
}
void H5File::set_unsigned(const std::string& name, std::uint64_t value) {
  state_->write_attribute(name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, -1);
}
void H5File::set_real(const std::string& name, double value) {
  state_->write_attribute(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, -1);
}
void H5File::set_reals(const std::string& name, std::span<const double> values) {
  state_->write_attribute(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values.data(),
                          static_cast<std::int64_t>(values.size()));
}

AttributeId H5File::State::open_attribute(const std::string& name) const {
  const htri_t exists = H5Aexists(file.get(), name.c_str());
  if (exists < 0) {
    refuse_h5(path, "attribute " + name, "a readable attribute", take_h5_error());
  }
  if (exists == 0) {
    refuse_h5(path, "attribute " + name, "an attribute of this name", "none");
  }
  AttributeId attribute(H5Aopen(file.get(), name.c_str(), H5P_DEFAULT));
  if (!attribute) {
    refuse_h5(path, "attribute " + name, "a readable attribute", take_h5_error());
  }
  return attribute;
}

std::size_t H5File::State::attribute_extent(const AttributeId& attribute,
                                            const std::string& name) const {
  const SpaceId space(H5Aget_space(attribute.get()));
  const TypeId type(H5Aget_type(attribute.get()));
  const hssize_t count = space ? H5Sget_simple_extent_npoints(space.get()) : -1;
  if (count < 0 || !type) {
    refuse_h5(path, "attribute " + name, "a readable attribute", take_h5_error());
  }
  const std::size_t width = H5Tget_size(type.get());
  if (width == 0 || static_cast<std::uint64_t>(count) > num_bytes / width) {
    refuse_h5(path, "attribute " + name, "no more data than the file has bytes",
              std::to_string(count) + " values of " + std::to_string(width) + " bytes");
  }
  return static_cast<std::size_t>(count);
}

template <typename T>
std::vector<T> H5File::State::read_attribute(const std::string& name,
                                             hid_t stored,
                                             hid_t memory,
                                             const char* words) const {
  const AttributeId attribute = open_attribute(name);
  const TypeId type(H5Aget_type(attribute.get()));
  if (!type || H5Tequal(type.get(), stored) <= 0) {
    refuse_h5(path, "attribute " + name, words,
              type ? describe_h5_type(type.get()) : take_h5_error());
  }
  std::vector<T> values(attribute_extent(attribute, name));
  if (!values.empty() && H5Aread(attribute.get(), memory, values.data()) < 0) {
    refuse_h5(path, "attribute " + name, words, take_h5_error());
  }
  return values;
}

template <typename T>
T H5File::State::read_scalar(const std::string& name,
                             hid_t stored,
                             hid_t memory,
                             const char* words) const {
  const std::vector<T> values = read_attribute<T>(name, stored, memory, words);
  if (values.size() != 1) {
    refuse_h5(path, "attribute " + name, "one value", std::to_string(values.size()) + " values");
  }
  return values.front();
}

std::vector<std::string> H5File::texts(const std::string& name) const {
  const AttributeId attribute = state_->open_attribute(name);
  const TypeId type(H5Aget_type(attribute.get()));
  const bool is_text =
      type && H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0;
  if (!is_text) {
    refuse_h5(path(), "attribute " + name, "text of fixed length",
              type ? describe_h5_type(type.get()) : take_h5_error());
  }
  const std::size_t width = H5Tget_size(type.get());
  const std::size_t count = state_->attribute_extent(attribute, name);
  std::string block(width * count, '\0');
  const TypeId memory = text_type(width);
  if (count > 0 && H5Aread(attribute.get(), memory.get(), block.data()) < 0) {
    refuse_h5(path(), "attribute " + name, "readable text", take_h5_error());
  }
  std::vector<std::string> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(without_padding(block.data() + i * width, width));
  }
  return values;
}

std::string H5File::text(const std::string& name) const {
  const std::vector<std::string> values = texts(name);
  if (values.size() != 1) {
    refuse_h5(path(), "attribute " + name, "one text", std::to_string(values.size()) + " texts");
  }
  return values.front();
}

std::int64_t H5File::integer(const std::string& name) const {
  return state_->read_scalar<std::int64_t>(name, H5T_STD_I64LE, H5T_NATIVE_INT64,
                                           "a 64-bit integer");
}
std::vector<std::int64_t> H5File::integers(const std::string& name) const {
  return state_->read_attribute<std::int64_t>(name, H5T_STD_I64LE, H5T_NATIVE_INT64,
                                              "64-bit integers");
}
std::uint64_t H5File::unsigned_integer(const std::string& name) const {
  return state_->read_scalar<std::uint64_t>(name, H5T_STD_U64LE, H5T_NATIVE_UINT64,
                                            "a 64-bit unsigned integer");
}
double H5File::real(const std::string& name) const {
  return state_->read_scalar<double>(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                                     "a 64-bit floating-point number");
}
std::vector<double> H5File::reals(const std::string& name) const {
  return state_->read_attribute<double>(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                                        "64-bit floating-point numbers");
}

}  // namespace baton::checkpoint
