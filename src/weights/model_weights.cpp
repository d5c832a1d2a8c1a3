#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/weights/decoder_config.hpp"
#include "baton/weights/safetensors.hpp"
#include "model_folder.hpp"

namespace baton::weights {
namespace {

using base::Error;
using base::ErrorKind;
using base::Json;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{100} << 20;

[[noreturn]] void fail_index(const std::filesystem::path& index,
                             const std::string& what,
                             const std::string& expected,
                             const std::string& found,
                             const std::string& fix) {
  throw Error(ErrorKind::kModel, what,
              {.where = index.string(), .expected = expected, .found = found, .fix = fix});
}

/// A shard must be a plain file name whose file really lies in the folder.
std::filesystem::path checked_shard(const std::filesystem::path& folder,
                                    const std::filesystem::path& index,
                                    const std::string& name) {
  static constexpr const char* kFix =
      "Do not trust this folder unless you know why the index says so; get the model again.";
  const bool plain = !name.empty() && name.find('/') == std::string::npos &&
                     name.find('\\') == std::string::npos && name.find('\0') == std::string::npos &&
                     name != "." && name != "..";
  if (!plain) {
    fail_index(index, "A shard index names a file outside its folder.",
               "a plain file name inside the folder", fmt::format("\"{}\"", name), kFix);
  }
  if (std::filesystem::path(name).extension() != ".safetensors") {
    fail_index(index, "A shard index names a file that is no safetensors file.",
               "names ending in .safetensors", fmt::format("\"{}\"", name), pickle_fix());
  }
  const std::filesystem::path path = folder / name;
  std::error_code status;
  if (!std::filesystem::exists(path, status)) {
    fail_index(index, "A shard of the model is missing.",
               fmt::format("file {} in the folder", name), "no such file",
               "Copy or download the model again: it is incomplete.");
  }
  const std::filesystem::path real = std::filesystem::canonical(path, status);
  const std::filesystem::path real_folder =
      status ? std::filesystem::path() : std::filesystem::canonical(folder, status);
  if (status || real.parent_path() != real_folder) {
    fail_index(
        index, "A shard of the model is a link that leads out of its folder.",
        fmt::format("file {} inside the folder", name), fmt::format("a link to {}", real.string()),
        "Where you trust the link, copy the folder with links followed (cp -rL) and use the copy.");
  }
  return path;
}

/// Tensor name -> shard file name, as the index says.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index) {
  static constexpr const char* kFix = "The index is damaged; copy or download the model again.";
  const Json json = base::parse_json(base::read_file(index, ErrorKind::kModel, kMaxIndexBytes),
                                     ErrorKind::kModel, index.string());
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object() || map->empty()) {
    fail_index(
        index, "A shard index has no weight_map.", "an object weight_map: tensor name -> file name",
        json.is_object() && json.contains("weight_map") ? "an empty weight_map or another type"
                                                        : "no weight_map",
        kFix);
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      fail_index(index, "A shard index is malformed.",
                 fmt::format("a file name for tensor {}", tensor), file.type_name(), kFix);
    }
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

[[noreturn]] void fail_without_weights(const std::filesystem::path& folder) {
  const std::string pickles = pickle_files_in(folder);
  throw Error(ErrorKind::kModel,
              pickles.empty() ? "The model folder holds no weights."
                              : "The model folder holds its weights in pickle files only.",
              {.where = folder.string(),
               .expected = fmt::format("{}, or shards with {}", kSingleFile, kIndexFile),
               .found = pickles.empty() ? "neither" : pickles,
               .fix = pickles.empty() ? "Copy or download the model again: it is incomplete."
                                      : pickle_fix()});
}

}  // namespace

ModelWeights::ModelWeights(const std::filesystem::path& folder) : folder_(folder) {
  require_model_folder(folder);
  std::error_code status;
  if (std::filesystem::exists(folder / kSingleFile, status)) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder / kSingleFile));
    tensors_ = files_.back()->tensors();
    return;
  }
  const std::filesystem::path index = folder / kIndexFile;
  if (!std::filesystem::exists(index, status)) {
    fail_without_weights(folder);
  }
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map) {
    shards.insert(shard);
  }
  // All names are checked before any shard is opened.
  std::vector<std::pair<std::string, std::filesystem::path>> paths;
  for (const std::string& shard : shards) {
    paths.emplace_back(shard, checked_shard(folder, index, shard));
  }
  for (const auto& [shard, path] : paths) {
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    for (const auto& [name, tensor] : files_.back()->tensors()) {
      const auto entry = weight_map.find(name);
      if (entry == weight_map.end() || entry->second != shard) {
        fail_index(
            index, "A shard holds a tensor that the index does not place there.",
            entry == weight_map.end() ? "every tensor of every shard in the index"
                                      : fmt::format("tensor {} in {} only", name, entry->second),
            fmt::format("tensor {} in {}", name, shard),
            "Index and shards belong to different models; copy or download the model again.");
      }
      tensors_.emplace(name, tensor);
    }
  }
  for (const auto& [name, shard] : weight_map) {
    if (!tensors_.contains(name)) {
      fail_index(index, "A tensor of the index is not in its shard.",
                 fmt::format("tensor {} in {}", name, shard), "no such tensor in that file",
                 "Index and shards belong to different models; copy or download the model again.");
    }
  }
}

const TensorView& ModelWeights::at(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it != tensors_.end()) {
    return it->second;
  }
  std::vector<std::string> names;
  for (const auto& entry : tensors_) {
    names.push_back(entry.first);
  }
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw Error(
      ErrorKind::kModel, "The model lacks a tensor.",
      {.where = folder_.string(),
       .expected = fmt::format("tensor {}", name),
       .found = nearest ? fmt::format("no such tensor; the nearest name is {}", *nearest)
                        : fmt::format("no such tensor among {}", names.size()),
       .fix = "config.json and the weights may be of different models; copy the folder again."});
}

std::string ModelWeights::fingerprint() const {
  base::Sha256 sha;
  sha.add_field("baton model fingerprint 1");
  sha.add_field(canonical_facts(read_decoder_config(folder_)));
  for (const auto& [name, tensor] : tensors_) {
    sha.add_field(name);
    sha.add_field(dtype_name(tensor.dtype));
    sha.add_field(fmt::format("{}", fmt::join(tensor.shape, ",")));
    sha.add(tensor.bytes);
  }
  return sha.hex();
}

}  // namespace baton::weights
