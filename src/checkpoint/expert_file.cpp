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

namespace baton::checkpoint {

namespace {

using expert::ExpertState;
using expert::NamedArray;

constexpr const char* kGroup = "adapter";

void add_facts(ContentDigest& digest, const ExpertState& state) {
  digest.add_int("format_version", kExpertFormatVersion).add("task", state.task);
  for (const auto& [name, value] : state.identity.facts()) {
    digest.add("identity " + name, value);
  }
  digest.add("base_fingerprint", state.base_fingerprint)
      .add_int("lora_rank", state.lora_rank)
      .add_real("lora_alpha", state.lora_alpha)
      .add_real("lora_dropout", state.lora_dropout);
  for (const std::string& target : state.lora_target) {
    digest.add("lora_target", target);
  }
  digest.add("lora_activation", state.lora_activation);
  for (const std::int64_t id : state.invocation_ids) {
    digest.add_int("invocation_ids", id);
  }
  digest.add_int("accept_token_id", state.accept_token_id)
      .add_int("pass_token_id", state.pass_token_id)
      .add_real("accept_threshold", state.accept_threshold);
  for (const expert::RocPoint& point : state.roc) {
    digest.add_real("roc", point.threshold)
        .add_real("roc", point.true_positive_rate)
        .add_real("roc", point.false_positive_rate);
  }
  digest.add("template", state.prompt_template)
      .add_unsigned("seed", state.seed)
      .add_int("steps", state.steps)
      .add_int("num_positive", state.num_positive)
      .add_int("num_negative", state.num_negative);
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

std::vector<double> flatten(const std::vector<expert::RocPoint>& points) {
  std::vector<double> values;
  for (const expert::RocPoint& point : points) {
    values.insert(values.end(),
                  {point.threshold, point.true_positive_rate, point.false_positive_rate});
  }
  return values;
}

void write_facts(H5File& file, const ExpertState& state) {
  file.set_text("kind", kExpertKind);
  file.set_int("format_version", kExpertFormatVersion);
  file.set_text("task", state.task);
  write_identity(file, state.identity);
  file.set_text("base_fingerprint", state.base_fingerprint);
  file.set_int("lora_rank", state.lora_rank);
  file.set_real("lora_alpha", state.lora_alpha);
  file.set_real("lora_dropout", state.lora_dropout);
  file.set_texts("lora_target", state.lora_target);
  file.set_text("lora_activation", state.lora_activation);
  file.set_ints("invocation_ids", state.invocation_ids);
  file.set_int("accept_token_id", state.accept_token_id);
  file.set_int("pass_token_id", state.pass_token_id);
  file.set_real("accept_threshold", state.accept_threshold);
  file.set_reals("roc", flatten(state.roc));
  file.set_text("template", state.prompt_template);
  file.set_unsigned("seed", state.seed);
  file.set_int("steps", state.steps);
  file.set_int("num_positive", state.num_positive);
  file.set_int("num_negative", state.num_negative);
  file.set_text("facts_sha256", facts_digest(state));
  file.set_text("content_sha256", content_digest(state));
}

std::vector<expert::RocPoint> read_roc(const H5File& file) {
  const std::vector<double> values = file.reals("roc");
  if (values.size() % 3 != 0) {
    refuse_content(file.path(), "attribute roc", "three numbers a point",
                   std::to_string(values.size()) + " numbers");
  }
  std::vector<expert::RocPoint> points;
  for (std::size_t i = 0; i < values.size(); i += 3) {
    points.push_back({values[i], values[i + 1], values[i + 2]});
  }
  return points;
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
  state.task = file.text("task");
  state.identity = read_identity(file);
  state.base_fingerprint = file.text("base_fingerprint");
  state.lora_rank = file.integer("lora_rank");
  state.lora_alpha = file.real("lora_alpha");
  state.lora_dropout = file.real("lora_dropout");
  state.lora_target = file.texts("lora_target");
  state.lora_activation = file.text("lora_activation");
  state.invocation_ids = file.integers("invocation_ids");
  state.accept_token_id = file.integer("accept_token_id");
  state.pass_token_id = file.integer("pass_token_id");
  state.accept_threshold = file.real("accept_threshold");
  state.roc = read_roc(file);
  state.prompt_template = file.text("template");
  state.seed = file.unsigned_integer("seed");
  state.steps = file.integer("steps");
  state.num_positive = file.integer("num_positive");
  state.num_negative = file.integer("num_negative");
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
