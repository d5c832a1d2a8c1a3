#include "baton/weights/tensor_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "family.hpp"

namespace baton::weights {
namespace {

/// Every tensor that the decoder reads.
std::set<std::string> used_names(const TensorNames& names, const DecoderConfig& config) {
  std::set<std::string> used = {names.embedding, names.final_norm};
  if (!config.tie_word_embeddings) {
    used.insert(names.head);
  }
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    used.insert(names.of_layer(layer, names.attention_norm));
    used.insert(names.of_layer(layer, names.feed_forward_norm));
    if (config.output_norms) {
      used.insert(names.of_layer(layer, names.attention_output_norm));
      used.insert(names.of_layer(layer, names.feed_forward_output_norm));
    }
    if (config.query_key_norm) {
      used.insert(names.of_layer(layer, names.query_norm));
      used.insert(names.of_layer(layer, names.key_norm));
    }
    for (std::size_t i = 0; i < names.linears.size(); ++i) {
      used.insert(names.of_layer(layer, names.linears[i] + ".weight"));
      if (config.has_bias[i]) {
        used.insert(names.of_layer(layer, names.linears[i] + ".bias"));
      }
    }
  }
  return used;
}

/// A tied head that is stored all the same says nothing new when it is the embedding once more.
bool repeats_the_embedding(const ModelWeights& files, const TensorNames& names) {
  if (!files.contains(names.embedding)) {
    return false;
  }
  const TensorView& head = files.at(names.head);
  const TensorView& embedding = files.at(names.embedding);
  return head.dtype == embedding.dtype && head.shape == embedding.shape &&
         std::equal(head.bytes.begin(), head.bytes.end(), embedding.bytes.begin(),
                    embedding.bytes.end());
}

}  // namespace

TensorNames tensor_names(const DecoderConfig& config) {
  const Family* family = find_family(config.model_type);
  BATON_ASSERT(family != nullptr, "family " + config.model_type);
  return family->tensor_names();
}

std::vector<std::string> unused_tensors(const ModelWeights& files, const DecoderConfig& config) {
  const TensorNames names = tensor_names(config);
  const std::set<std::string> used = used_names(names, config);
  const auto is_ignored = [&](const std::string& name) {
    return std::any_of(names.ignored_ends.begin(), names.ignored_ends.end(),
                       [&](const std::string& end) { return name.ends_with(end); });
  };
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : files.tensors()) {
    const bool is_copy = name == names.head && repeats_the_embedding(files, names);
    if (!used.contains(name) && !is_ignored(name) && !is_copy) {
      unused.push_back(name);
    }
  }
  return unused;
}

std::string unused_tensors_warning(const ModelWeights& files, const DecoderConfig& config) {
  constexpr std::size_t kShown = 3;
  const std::vector<std::string> unused = unused_tensors(files, config);
  if (unused.empty()) {
    return "";
  }
  std::string shown = base::join(std::span(unused).first(std::min(kShown, unused.size())), ", ");
  if (unused.size() > kShown) {
    shown += ", ...";
  }
  return fmt::format(
      "{} of the model's {} tensors are not used: {}. config.json asks for {} layers{}; if that is "
      "not what the model has, config.json and the weights do not belong together",
      unused.size(), files.tensors().size(), shown, config.num_hidden_layers,
      config.tie_word_embeddings ? " and a head that is the embedding" : "");
}

}  // namespace baton::weights
