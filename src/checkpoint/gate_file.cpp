#include "baton/checkpoint/gate_file.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "content_digest.hpp"
#include "fact_codecs.hpp"

namespace baton::checkpoint {

namespace {

using expert::GateState;
using expert::NamedArray;

constexpr const char* kKind = "router_gates";
constexpr const char* kGroup = "gates";

std::string digest_of(const GateState& state) {
  ContentDigest digest(kKind);
  digest.add_int("format_version", kGateFormatVersion);
  GateState::fields(state, FactDigest(digest));
  for (const NamedArray& array : state.arrays) {
    digest.add("array", array.name);
    digest.add("values", {reinterpret_cast<const char*>(array.values.data()),
                          array.values.size() * sizeof(float)});
  }
  return digest.hex();
}

std::string name_in_file(const std::string& array) {
  return std::string(kGroup) + "/" + array;
}

}  // namespace

void save_gates(const std::filesystem::path& path, const GateState& state) {
  publish_h5(path, [&](H5File& file) {
    file.set_text("kind", kKind);
    file.set_int("format_version", kGateFormatVersion);
    GateState::fields(state, FactWriter(file));
    file.set_text("content_sha256", digest_of(state));
    file.make_group(kGroup);
    for (const NamedArray& array : state.arrays) {
      file.write_floats(name_in_file(array.name), array.values, array.shape);
    }
  });
}

GateState load_gates(const std::filesystem::path& path) {
  const H5File file = H5File::open(path);
  check_kind(file, kKind, kGateFormatVersion);
  GateState state;
  GateState::fields(state, FactReader(file));
  for (const std::string& name : file.names_in(kGroup)) {
    const std::string place = name_in_file(name);
    NamedArray& array = state.arrays.emplace_back();
    array = {name, file.describe(place).shape, file.read_floats(place)};
    if (!std::all_of(array.values.begin(), array.values.end(),
                     [](float value) { return std::isfinite(value); })) {
      refuse_content(path, "dataset " + place, "finite numbers", "another");
    }
  }
  check_digest(file, "content_sha256", digest_of(state));
  return state;
}

}  // namespace baton::checkpoint
