#include "baton/checkpoint/h5_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "h5_state.hpp"
#include "regular_file.hpp"

namespace baton::checkpoint {

namespace {

constexpr std::size_t kMemoryStep = std::size_t{1} << 20;
constexpr std::size_t kEndOfFileOffset = 28;  // in the superblock
constexpr hsize_t kMaxChunkElements = hsize_t{4} << 20;

hid_t stored_type(H5Type type) {
  switch (type) {
    case H5Type::kFloat32:
      return H5T_IEEE_F32LE;
    case H5Type::kInt64:
      return H5T_STD_I64LE;
    case H5Type::kByte:
      break;
  }
  return H5T_STD_U8LE;
}

hid_t memory_type(H5Type type) {
  switch (type) {
    case H5Type::kFloat32:
      return H5T_NATIVE_FLOAT;
    case H5Type::kInt64:
      return H5T_NATIVE_INT64;
    case H5Type::kByte:
      break;
  }
  return H5T_NATIVE_UINT8;
}

const char* type_words(H5Type type) {
  switch (type) {
    case H5Type::kFloat32:
      return "32-bit floating-point numbers";
    case H5Type::kInt64:
      return "64-bit integers";
    case H5Type::kByte:
      break;
  }
  return "bytes";
}

std::uint64_t little_endian_64(const std::byte* bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) {
    value = (value << 8U) | std::to_integer<std::uint64_t>(bytes[i]);
  }
  return value;
}

// Looks at the superblock before HDF5 does: older superblocks carry no checksum, and a file that is
// cut short gets a plain sentence.
std::uint64_t check_superblock(const std::filesystem::path& path) {
  constexpr std::array<unsigned char, 8> kSignature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  constexpr std::size_t kSuperblockSize = 48;
  RegularFile file(path);
  std::array<std::byte, kSuperblockSize> bytes{};
  if (file.size() < kSuperblockSize || file.read(bytes) < kSuperblockSize) {
    refuse_h5(path, "", "an HDF5 file", std::to_string(file.size()) + " bytes");
  }
  if (std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) != 0) {
    base::refuse_git_lfs_pointer({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                                 base::ErrorKind::kModel, path.string());
    refuse_h5(path, "", "an HDF5 file", "a file that does not begin as one");
  }
  const auto byte_at = [&](std::size_t i) { return std::to_integer<int>(bytes[i]); };
  if (byte_at(8) != 3 || byte_at(9) != 8 || byte_at(10) != 8) {
    refuse_h5(path, "superblock", "version 3 with 8-byte sizes",
              "version " + std::to_string(byte_at(8)) + " with " + std::to_string(byte_at(9)) +
                  "- and " + std::to_string(byte_at(10)) + "-byte sizes");
  }
  const std::uint64_t declared = little_endian_64(bytes.data() + kEndOfFileOffset);
  if (declared != file.size()) {
    refuse_h5(path, "", std::to_string(declared) + " bytes, as the file itself says",
              std::to_string(file.size()) + " bytes");
  }
  return file.size();
}

struct ForeignLink {
  std::string name;
  const char* kind = nullptr;  // nullptr: none was met
  std::uint64_t num_links = 0;
};

constexpr std::uint64_t kMaxLinks = 1'000'000;

// Called by HDF5 for every link below the root; ends the walk at the first that is not a hard one.
herr_t look_at_link(hid_t, const char* name, const H5L_info_t* link, void* data) {
  ForeignLink& foreign = *static_cast<ForeignLink*>(data);
  if (link->type != H5L_TYPE_HARD) {
    foreign.kind = link->type == H5L_TYPE_SOFT ? "a soft link" : "an external link";
    foreign.name = name;
    return 1;
  }
  return ++foreign.num_links > kMaxLinks ? 1 : 0;
}

}  // namespace

void refuse_h5(const std::filesystem::path& path,
               const std::string& item,
               const std::string& expected,
               const std::string& found) {
  throw base::Error(
      base::ErrorKind::kModel, "an HDF5 file is damaged or not one of ours",
      {.where = path.string() + (item.empty() ? "" : ", " + item),
       .expected = expected,
       .found = found,
       .fix = "restore the file from a copy, or delete it and run the command that made it again"});
}

void fail_h5_write(const std::filesystem::path& path, const std::string& item) {
  throw base::Error(
      base::ErrorKind::kStorage, "cannot write an HDF5 file",
      {.where = path.string() + (item.empty() ? "" : ", " + item),
       .expected = "",
       .found = take_h5_error(),
       .fix = "check free space, quota and permission of the folder, then run the command again; "
              "finished files are kept"});
}

std::int64_t H5Dataset::num_elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (extent != 0 && product > std::numeric_limits<std::int64_t>::max() / extent) {
      return std::numeric_limits<std::int64_t>::max();
    }
    product *= extent;
  }
  return product;
}

H5File::H5File(std::unique_ptr<State> state) : state_(std::move(state)) {}
H5File::H5File(H5File&&) noexcept = default;
H5File& H5File::operator=(H5File&&) noexcept = default;
H5File::~H5File() = default;

const std::filesystem::path& H5File::path() const {
  return state_->path;
}

H5File H5File::create(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  prepare_h5();
  const PropertyId access(H5Pcreate(H5P_FILE_ACCESS));
  const PropertyId creation(H5Pcreate(H5P_FILE_CREATE));
  state->path = path;
  // In memory: HDF5 keeps a file it could not write open until the process ends, so it never sees
  // the disk.
  const bool ready = access && creation &&
                     H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
                     H5Pset_fapl_core(access.get(), kMemoryStep, false) >= 0 &&
                     state->image.attach_to(access.get()) &&
                     H5Pset_obj_track_times(creation.get(), false) >= 0;
  state->file =
      FileId(ready ? H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()) : -1);
  if (!state->file) {
    fail_h5_write(path, "");
  }
  return H5File(std::move(state));
}

// One walk over the whole file, so that no reader can follow a link out of it at any level: HDF5
// follows soft and external links by itself wherever a name leads through one.
void H5File::State::require_hard_links() const {
  ForeignLink foreign;
  if (H5Lvisit(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, look_at_link, &foreign) < 0) {
    refuse_h5(path, "", "readable groups", take_h5_error());
  }
  if (foreign.kind != nullptr) {
    refuse_h5(path, foreign.name, "data in the file itself", foreign.kind);
  }
  if (foreign.num_links > kMaxLinks) {
    refuse_h5(path, "", fmt::format("at most {} entries", kMaxLinks), "more");
  }
}

H5File H5File::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  prepare_h5();
  state->path = path;
  state->num_bytes = check_superblock(path);
  const PropertyId access(H5Pcreate(H5P_FILE_ACCESS));
  if (!access || H5Pset_file_locking(access.get(), false, true) < 0) {
    refuse_h5(path, "", "a readable HDF5 file", take_h5_error());
  }
  state->file = FileId(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (!state->file) {
    refuse_h5(path, "", "a readable HDF5 file", take_h5_error());
  }
  state->require_hard_links();
  return H5File(std::move(state));
}

std::string_view H5File::finish_image() {
  BATON_ASSERT(state_->num_bytes == 0 && state_->file, "only a new file has an image");
  if (H5Fclose(state_->file.release()) < 0) {
    fail_h5_write(state_->path, "");
  }
  state_->turn = {};
  const std::vector<char>& bytes = state_->image.bytes();
  BATON_ASSERT(bytes.size() > kEndOfFileOffset + 8,
               "an HDF5 image of " + std::to_string(bytes.size()) + " bytes");
  // The image grows in steps; where the file ends its superblock says.
  const std::uint64_t size =
      little_endian_64(std::as_bytes(std::span(bytes)).data() + kEndOfFileOffset);
  BATON_ASSERT(size <= bytes.size(), "an HDF5 image that ends at " + std::to_string(size));
  return {bytes.data(), static_cast<std::size_t>(size)};
}

void H5File::close() {
  if (!state_->file) {
    return;
  }
  if (state_->num_bytes == 0) {
    base::write_file_atomically(state_->path, finish_image());
  } else if (H5Fclose(state_->file.release()) < 0) {
    fail_h5_write(state_->path, "");
  }
}

void H5File::make_group(const std::string& name) {
  const PropertyId creation(H5Pcreate(H5P_GROUP_CREATE));
  const bool ready = creation && H5Pset_obj_track_times(creation.get(), false) >= 0 &&
                     H5Pset_link_creation_order(creation.get(),
                                                H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0;
  const GroupId group(
      ready ? H5Gcreate2(state_->file.get(), name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT)
            : -1);
  if (!group) {
    fail_h5_write(state_->path, "group " + name);
  }
}

void H5File::State::write(const std::string& name,
                          H5Type type,
                          const void* values,
                          std::span<const std::int64_t> shape) {
  std::vector<hsize_t> extents(shape.begin(), shape.end());
  const bool empty = std::find(extents.begin(), extents.end(), hsize_t{0}) != extents.end();
  const SpaceId space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
  const PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  bool ready = space && creation && H5Pset_obj_track_times(creation.get(), false) >= 0;
  if (ready && !empty) {  // HDF5 knows no chunks of nothing
    std::vector<hsize_t> chunk = extents;
    hsize_t below = 1;  // elements of one step along the first extent
    for (std::size_t i = 1; i < chunk.size(); ++i) {
      below *= chunk[i];
    }
    // Chunks of one size: what the last one does not use is stored all the same.
    const hsize_t most = std::clamp<hsize_t>(kMaxChunkElements / below, 1, chunk[0]);
    const hsize_t num_chunks = (chunk[0] + most - 1) / most;
    chunk[0] = (chunk[0] + num_chunks - 1) / num_chunks;
    ready = H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) >= 0 &&
            H5Pset_fletcher32(creation.get()) >= 0;
  }
  const DatasetId dataset(ready ? H5Dcreate2(file.get(), name.c_str(), stored_type(type),
                                             space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT)
                                : -1);
  if (!dataset || (!empty && H5Dwrite(dataset.get(), memory_type(type), H5S_ALL, H5S_ALL,
                                      H5P_DEFAULT, values) < 0)) {
    fail_h5_write(path, "dataset " + name);
  }
}

void H5File::write_floats(const std::string& name,
                          std::span<const float> values,
                          std::span<const std::int64_t> shape) {
  const H5Dataset facts{H5Type::kFloat32, {shape.begin(), shape.end()}};
  BATON_ASSERT(!shape.empty() && facts.num_elements() == static_cast<std::int64_t>(values.size()),
               name);
  state_->write(name, H5Type::kFloat32, values.data(), shape);
}

void H5File::write_ints(const std::string& name, std::span<const std::int64_t> values) {
  const std::array<std::int64_t, 1> shape{static_cast<std::int64_t>(values.size())};
  state_->write(name, H5Type::kInt64, values.data(), shape);
}

void H5File::write_bytes(const std::string& name, std::string_view bytes) {
  const std::array<std::int64_t, 1> shape{static_cast<std::int64_t>(bytes.size())};
  state_->write(name, H5Type::kByte, bytes.data(), shape);
}

std::vector<std::string> H5File::names_in(const std::string& group) const {
  constexpr std::size_t kMaxNameBytes = 4096;
  const std::string item = "group " + (group.empty() ? "/" : group);
  const GroupId id(H5Gopen2(state_->file.get(), group.empty() ? "/" : group.c_str(), H5P_DEFAULT));
  H5G_info_t facts{};
  if (!id || H5Gget_info(id.get(), &facts) < 0) {
    refuse_h5(state_->path, item, "a readable group", take_h5_error());
  }
  if (facts.nlinks > kMaxLinks) {
    refuse_h5(state_->path, item, fmt::format("at most {} entries", kMaxLinks),
              std::to_string(facts.nlinks));
  }
  const H5_index_t order =
      facts.max_corder > 0 && !group.empty() ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  std::vector<std::string> names;
  for (hsize_t i = 0; i < facts.nlinks; ++i) {
    std::string name(kMaxNameBytes, '\0');
    const ssize_t size = H5Lget_name_by_idx(id.get(), ".", order, H5_ITER_INC, i, name.data(),
                                            name.size(), H5P_DEFAULT);
    if (size <= 0 || static_cast<std::size_t>(size) >= kMaxNameBytes) {
      refuse_h5(state_->path, item, "readable names", take_h5_error());
    }
    name.resize(static_cast<std::size_t>(size));
    names.push_back(std::move(name));
  }
  return names;
}

DatasetId H5File::State::open_dataset(const std::string& name, H5Dataset& facts) const {
  const std::string item = "dataset " + name;
  DatasetId dataset(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT));
  const TypeId type(dataset ? H5Dget_type(dataset.get()) : -1);
  const SpaceId space(dataset ? H5Dget_space(dataset.get()) : -1);
  const PropertyId creation(dataset ? H5Dget_create_plist(dataset.get()) : -1);
  const int num_extents = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (!type || !creation || num_extents < 0) {
    refuse_h5(path, item, "a readable dataset", take_h5_error());
  }
  bool known = false;
  for (const H5Type candidate : {H5Type::kFloat32, H5Type::kInt64, H5Type::kByte}) {
    if (H5Tequal(type.get(), stored_type(candidate)) > 0) {
      facts.type = candidate;
      known = true;
    }
  }
  if (!known) {
    refuse_h5(path, item, "32-bit floats, 64-bit integers or bytes (little-endian)",
              describe_h5_type(type.get()));
  }
  std::vector<hsize_t> extents(static_cast<std::size_t>(num_extents));
  H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr);
  for (const hsize_t extent : extents) {
    facts.shape.push_back(static_cast<std::int64_t>(
        std::min<hsize_t>(extent, static_cast<hsize_t>(std::numeric_limits<std::int64_t>::max()))));
  }
  check_storage(dataset, creation, facts, item);
  return dataset;
}

void H5File::State::check_storage(const DatasetId& dataset,
                                  const PropertyId& creation,
                                  const H5Dataset& facts,
                                  const std::string& item) const {
  if (H5Pget_external_count(creation.get()) != 0) {
    refuse_h5(path, item, "data in the file itself", "external storage");
  }
  const std::int64_t num_elements = facts.num_elements();
  if (num_elements == 0) {
    return;
  }
  const std::uint64_t width = facts.type == H5Type::kInt64     ? 8
                              : facts.type == H5Type::kFloat32 ? 4
                                                               : 1;
  if (static_cast<std::uint64_t>(num_elements) > num_bytes / width) {
    refuse_h5(
        path, item, "no more data than the file has bytes (" + std::to_string(num_bytes) + ")",
        std::to_string(num_elements) + " declared elements of " + std::to_string(width) + " bytes");
  }
  unsigned flags = 0;
  std::size_t num_parameters = 0;
  const bool checksummed =
      H5Pget_layout(creation.get()) == H5D_CHUNKED && H5Pget_nfilters(creation.get()) == 1 &&
      H5Pget_filter2(creation.get(), 0, &flags, &num_parameters, nullptr, 0, nullptr, nullptr) ==
          H5Z_FILTER_FLETCHER32;
  if (!checksummed) {
    refuse_h5(path, item, "chunks with Fletcher32 checksums and no other filter", "another layout");
  }
  const hsize_t stored = H5Dget_storage_size(dataset.get());
  if (stored < static_cast<std::uint64_t>(num_elements) * width) {
    refuse_h5(path, item,
              std::to_string(static_cast<std::uint64_t>(num_elements) * width) + " stored bytes",
              std::to_string(stored) + " stored bytes");
  }
}

H5Dataset H5File::describe(const std::string& name) const {
  H5Dataset facts;
  state_->open_dataset(name, facts);
  return facts;
}

template <typename Values>
Values H5File::State::read(const std::string& name, H5Type type) const {
  H5Dataset facts;
  const DatasetId dataset = open_dataset(name, facts);
  if (facts.type != type) {
    refuse_h5(path, "dataset " + name, type_words(type), type_words(facts.type));
  }
  Values values(static_cast<std::size_t>(facts.num_elements()), typename Values::value_type{});
  if (!values.empty() &&
      H5Dread(dataset.get(), memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    refuse_h5(path, "dataset " + name, "readable data with right checksums", take_h5_error());
  }
  return values;
}

std::vector<float> H5File::read_floats(const std::string& name) const {
  return state_->read<std::vector<float>>(name, H5Type::kFloat32);
}
std::vector<std::int64_t> H5File::read_ints(const std::string& name) const {
  return state_->read<std::vector<std::int64_t>>(name, H5Type::kInt64);
}
std::string H5File::read_bytes(const std::string& name) const {
  return state_->read<std::string>(name, H5Type::kByte);
}

std::string h5_library_version() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

}  // namespace baton::checkpoint
