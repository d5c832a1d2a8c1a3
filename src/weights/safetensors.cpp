#include "baton/weights/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"

namespace baton::weights {
namespace {

using base::Error;
using base::ErrorKind;
using base::Json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

struct DTypeRow {
  DType dtype;
  const char* name;
  std::size_t size;
};

// In the format's own order of types, which is the order writers sort by (widest last).
constexpr std::array<DTypeRow, 10> kDTypes = {{
    {DType::kBool, "BOOL", 1},
    {DType::kU8, "U8", 1},
    {DType::kI8, "I8", 1},
    {DType::kI16, "I16", 2},
    {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},
    {DType::kI32, "I32", 4},
    {DType::kF32, "F32", 4},
    {DType::kF64, "F64", 8},
    {DType::kI64, "I64", 8},
}};

std::size_t dtype_index(DType dtype) {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].dtype == dtype) {
      return i;
    }
  }
  base::fail_assertion("known dtype", fmt::format("{}", static_cast<int>(dtype)));
}

std::optional<DType> dtype_from_name(const std::string& name) {
  for (const DTypeRow& row : kDTypes) {
    if (name == row.name) {
      return row.dtype;
    }
  }
  return std::nullopt;
}

/// Product of the shape and the element size; nothing when it does not fit 63 bits.
std::optional<std::uint64_t> checked_num_bytes(const std::vector<std::int64_t>& shape,
                                               DType dtype) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t product = byte_size(dtype);
  for (const std::int64_t dimension : shape) {
    const auto size = static_cast<std::uint64_t>(dimension);
    if (size != 0 && product > kLimit / size) {
      return std::nullopt;
    }
    product *= size;
  }
  return product;
}

[[noreturn]] void fail(const std::string& where,
                       const std::string& what,
                       const std::string& expected,
                       const std::string& found) {
  throw Error(
      ErrorKind::kModel, what,
      {.where = where,
       .expected = expected,
       .found = found,
       .fix = "The file is damaged, cut short or no safetensors file: copy or download it again."});
}

std::uint64_t little_endian_u64(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return value;
}

std::string_view header_text(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kLengthBytes) {
    fail(path, "A safetensors file is too small.", "at least 8 bytes of header length",
         fmt::format("{} bytes", bytes.size()));
  }
  base::refuse_git_lfs_pointer({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                               ErrorKind::kModel, path);
  const std::uint64_t length = little_endian_u64(bytes);
  if (length > kMaxHeaderBytes) {
    fail(path, "A safetensors header is too long.",
         fmt::format("at most {} bytes", kMaxHeaderBytes),
         fmt::format("a header length of {}", length));
  }
  if (length > bytes.size() - kLengthBytes) {
    fail(path, "A safetensors file ends inside its header.",
         fmt::format("a header of {} bytes", length),
         fmt::format("{} bytes after the length", bytes.size() - kLengthBytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              static_cast<std::size_t>(length));
  if (text.empty() || text.front() != '{') {
    fail(path, "A safetensors header does not start as one.", "'{' as its first byte",
         text.empty() ? "an empty header"
                      : fmt::format("byte 0x{:02x}", static_cast<unsigned char>(text[0])));
  }
  return text;
}

std::map<std::string, std::string> read_metadata(const Json& value, const std::string& path) {
  if (!value.is_object()) {
    fail(path, "The __metadata__ of a safetensors header is malformed.", "an object of texts",
         value.type_name());
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      fail(path, "The __metadata__ of a safetensors header is malformed.", "texts only",
           fmt::format("{} under key {}", text.type_name(), key));
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

std::vector<std::uint64_t> unsigned_list(const Json& info,
                                         const char* key,
                                         const std::string& where) {
  const auto it = info.find(key);
  if (it == info.end() || !it->is_array()) {
    fail(where, "A tensor's entry in a safetensors header is malformed.",
         fmt::format("a list under {}", key), it == info.end() ? "no such key" : it->type_name());
  }
  std::vector<std::uint64_t> values;
  for (const Json& item : *it) {
    if (!item.is_number_unsigned() ||
        item.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail(where, "A tensor's entry in a safetensors header is malformed.",
           fmt::format("whole numbers from 0 to 2^63-1 under {}", key),
           item.is_number() ? item.dump() : item.type_name());
    }
    values.push_back(item.get<std::uint64_t>());
  }
  return values;
}

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  const std::string* name = nullptr;
};

/// Reads one entry; `data` is the part of the file after the header.
TensorView read_entry(const std::string& name,
                      const Json& info,
                      std::span<const std::byte> data,
                      const std::string& path,
                      Extent& extent) {
  const std::string where = fmt::format("{}, tensor {}", path, name.substr(0, 200));
  if (!info.is_object()) {
    fail(where, "A tensor's entry in a safetensors header is malformed.", "an object",
         info.type_name());
  }
  TensorView tensor;
  tensor.name = name;
  const auto dtype_it = info.find("dtype");
  const std::optional<DType> dtype = dtype_it != info.end() && dtype_it->is_string()
                                         ? dtype_from_name(dtype_it->get<std::string>())
                                         : std::nullopt;
  if (!dtype) {
    fail(where, "A tensor of a safetensors file has a dtype that is not supported.",
         "F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL",
         dtype_it == info.end() ? "no dtype"
                                : dtype_it->dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  tensor.dtype = *dtype;
  for (const std::uint64_t dimension : unsigned_list(info, "shape", where)) {
    tensor.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  const std::vector<std::uint64_t> offsets = unsigned_list(info, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
    fail(where, "A tensor lies outside its safetensors file.",
         fmt::format("data_offsets [begin, end] with begin <= end <= {}", data.size()),
         fmt::format("[{}]", fmt::join(offsets, ", ")));
  }
  const std::optional<std::uint64_t> num_bytes = checked_num_bytes(tensor.shape, tensor.dtype);
  if (!num_bytes || *num_bytes != offsets[1] - offsets[0]) {
    fail(where, "A tensor's size does not match its shape and dtype.",
         num_bytes ? fmt::format("{} bytes for {} of shape [{}]", *num_bytes,
                                 dtype_name(tensor.dtype), fmt::join(tensor.shape, ", "))
                   : "a shape whose size fits 63 bits",
         fmt::format("{} bytes, shape [{}]", offsets[1] - offsets[0],
                     fmt::join(tensor.shape, ", ")));
  }
  tensor.bytes =
      data.subspan(static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(*num_bytes));
  extent.begin = offsets[0];
  extent.end = offsets[1];
  return tensor;
}

/// The tensors must cover the data exactly: from its first byte to its last, no hole, no byte
/// twice.
void check_cover(std::vector<Extent> extents, std::uint64_t data_size, const std::string& path) {
  std::sort(extents.begin(), extents.end(), [](const Extent& x, const Extent& y) {
    return std::pair(x.begin, x.end) < std::pair(y.begin, y.end);
  });
  std::uint64_t covered = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != covered) {
      fail(fmt::format("{}, tensor {}", path, *extent.name),
           extent.begin < covered ? "Two tensors of a safetensors file overlap."
                                  : "A safetensors file has a hole between two tensors.",
           fmt::format("data beginning at {}", covered),
           fmt::format("data beginning at {}", extent.begin));
    }
    covered = extent.end;
  }
  if (covered != data_size) {
    fail(path, "A safetensors file has bytes that belong to no tensor.",
         fmt::format("{} bytes of data", covered), fmt::format("{} bytes of data", data_size));
  }
}

}  // namespace

std::size_t byte_size(DType dtype) {
  return kDTypes[dtype_index(dtype)].size;
}

const char* dtype_name(DType dtype) {
  return kDTypes[dtype_index(dtype)].name;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path, ErrorKind::kModel) {
  const std::string shown_path = path.string();
  const std::string_view header = header_text(file_.bytes(), shown_path);
  const std::span<const std::byte> data = file_.bytes().subspan(kLengthBytes + header.size());
  const Json json = base::parse_json(header, ErrorKind::kModel, shown_path + ", header");
  if (!json.is_object()) {
    fail(shown_path, "A safetensors header is not an object.", "a JSON object", json.type_name());
  }
  std::vector<Extent> extents;
  for (const auto& [name, info] : json.items()) {
    if (name == "__metadata__") {
      metadata_ = read_metadata(info, shown_path);
      continue;
    }
    Extent extent;
    TensorView tensor = read_entry(name, info, data, shown_path, extent);
    const auto place = tensors_.emplace(name, std::move(tensor)).first;
    extent.name = &place->first;
    extents.push_back(extent);
  }
  check_cover(std::move(extents), data.size(), shown_path);
}

void write_safetensors(const std::filesystem::path& path,
                       std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  // The order of the reference writer: widest types first, so that every tensor is aligned without
  // holes.
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) {
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorToWrite* x, const TensorToWrite* y) {
    const std::size_t x_rank = dtype_index(x->dtype);
    const std::size_t y_rank = dtype_index(y->dtype);
    return x_rank != y_rank ? x_rank > y_rank : x->name < y->name;
  });

  base::OrderedJson header = base::OrderedJson::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  std::uint64_t offset = 0;
  for (const TensorToWrite* tensor : order) {
    for (const std::int64_t dimension : tensor->shape) {
      BATON_ASSERT(dimension >= 0,
                   fmt::format("{}: shape [{}]", tensor->name, fmt::join(tensor->shape, ", ")));
    }
    const std::optional<std::uint64_t> num_bytes = checked_num_bytes(tensor->shape, tensor->dtype);
    BATON_ASSERT(num_bytes && *num_bytes == tensor->bytes.size(),
                 fmt::format("{}: {} bytes, shape [{}]", tensor->name, tensor->bytes.size(),
                             fmt::join(tensor->shape, ", ")));
    BATON_ASSERT(tensor->name != "__metadata__" && !header.contains(tensor->name), tensor->name);
    header[tensor->name] = {{"dtype", dtype_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + *num_bytes}}};
    offset += *num_bytes;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  BATON_ASSERT(text.size() <= kMaxHeaderBytes, fmt::format("header of {} bytes", text.size()));

  std::string content;
  content.reserve(kLengthBytes + text.size() + static_cast<std::size_t>(offset));
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    content.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xff));
  }
  content += text;
  for (const TensorToWrite* tensor : order) {
    content.append(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  }
  base::write_file_atomically(path, content);
}

}  // namespace baton::weights
