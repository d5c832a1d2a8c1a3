#include "baton/checkpoint/expert_file.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <set>
#include <span>

#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "content_digest.hpp"
#include "fact_codecs.hpp"

namespace baton::checkpoint {

namespace {

using expert::ExpertState;
using expert::NamedArray;

constexpr const char* kGroup = "adapter";

void add_facts(ContentDigest& digest, const ExpertState& state) {
  digest.add_int("format_version", kExpertFormatVersion);
  ExpertState::fields(state, FactDigest(digest));
}

std::string facts_digest(const ExpertState& state) {
  ContentDigest digest("baton expert facts");
  add_facts(digest, state);
  return digest.hex();
}

std::string content_digest(const ExpertState& state) {
  static_assert(std::endian::native == std::endian::little,
                "array bytes enter the digest as they lie in memory");
  ContentDigest digest("baton expert content");
  add_facts(digest, state);
  for (const NamedArray& array : state.arrays) {
    digest.add("array", array.name);
    for (const std::int64_t extent : array.shape) {
      digest.add_int("extent", extent);
    }
    const auto bytes = std::as_bytes(std::span(array.values));
    digest.add("values",
               std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  return digest.hex();
}

void write_facts(H5File& file, const ExpertState& state) {
  file.set_text("kind", kExpertKind);
  file.set_int("format_version", kExpertFormatVersion);
  ExpertState::fields(state, FactWriter(file));
  file.set_text("facts_sha256", facts_digest(state));
  file.set_text("content_sha256", content_digest(state));
}

// Reads and checks everything but the arrays.
ExpertState read_facts(const H5File& file) {
  if (check_kind(file, kExpertKind, kExpertFormatVersion) < kExpertFormatVersion) {
    throw base::Error(
        base::ErrorKind::kModel,
        "an expert was written by an older version of this program, which did not "
        "note what its tokenizer and template make of a prompt",
        {.where = file.path().string(),
         .expected = fmt::format("format_version {}", kExpertFormatVersion),
         .found = fmt::format("format_version {}", file.integer("format_version")),
         .fix = "train it again (`baton train --replace NAME`), or use the version of "
                "the program that wrote it"});
  }
  ExpertState state;
  ExpertState::fields(state, FactReader(file));
  check_digest(file, "facts_sha256", facts_digest(state));
  return state;
}

}  // namespace

void save_expert(const std::filesystem::path& path, const ExpertState& state) {
  std::set<std::string> names;
  for (const NamedArray& array : state.arrays) {
    const bool usable =
        !array.name.empty() && array.name.find('/') == std::string::npos && array.name != ".";
    BATON_ASSERT(usable && names.insert(array.name).second, "array name \"" + array.name + "\"");
  }
  publish_h5(path, [&state](H5File& file) {
    write_facts(file, state);
    file.make_group(kGroup);
    for (const NamedArray& array : state.arrays) {
      file.write_floats(std::string(kGroup) + "/" + array.name, array.values, array.shape);
    }
  });
}

ExpertState load_expert(const std::filesystem::path& path, const expert::Expected& expected) {
  const H5File file = H5File::open(path);
  ExpertState state = read_facts(file);
  for (const std::string& name : file.names_in(kGroup)) {
    const std::string full_name = std::string(kGroup) + "/" + name;
    state.arrays.push_back({name, file.describe(full_name).shape, file.read_floats(full_name)});
  }
  check_digest(file, "content_sha256", content_digest(state));
  expert::check_expert(state, path.string(), expected);
  return state;
}

}  // namespace baton::checkpoint
