#include "baton/weights/decoder_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "config_object.hpp"
#include "family.hpp"
#include "model_folder.hpp"

namespace baton::weights {
namespace {

using base::Error;
using base::ErrorKind;
using base::Json;

const Family& family_of(const ConfigObject& object) {
  std::vector<std::string> types;
  std::vector<std::string> architectures;
  for (const Family* family : families()) {
    types.push_back(family->model_type());
    architectures.push_back(
        fmt::format("{} (model_type {})", family->architecture(), family->model_type()));
  }
  const std::string fix = fmt::format("Supported architectures: {}. Choose another base model.",
                                      base::join(architectures, ", "));
  const std::string model_type = object.text_or("model_type", "");
  const Family* family = find_family(model_type);
  if (family == nullptr) {
    object.fail("model_type", base::join(types, ", "),
                model_type.empty() ? "no such key" : model_type, fix);
  }
  if (const Json* found = object.find("architectures")) {
    const bool known = found->is_array() && std::find(found->begin(), found->end(),
                                                      Json(family->architecture())) != found->end();
    if (!known) {
      object.fail("architectures", family->architecture(), shown(*found), fix);
    }
  }
  return *family;
}

/// The ids under `key`: absent, one number, or a list of numbers.
std::vector<std::int64_t> token_ids(const ConfigObject& object,
                                    const std::string& key,
                                    std::int64_t vocab_size) {
  std::vector<std::int64_t> ids;
  if (const Json* value = object.find(key)) {
    if (value->is_array()) {
      for (const Json& id : *value) {
        ids.push_back(object.integer_of(key, id, 0, vocab_size - 1));
      }
    } else {
      ids.push_back(object.integer_of(key, *value, 0, vocab_size - 1));
    }
  }
  return ids;
}

void read_special_tokens(const ConfigObject& object,
                         const std::filesystem::path& folder,
                         DecoderConfig& config) {
  config.eos_token_ids = token_ids(object, "eos_token_id", config.vocab_size);
  if (const std::vector<std::int64_t> bos = token_ids(object, "bos_token_id", config.vocab_size);
      !bos.empty()) {
    config.bos_token_id = bos.front();
  }
  const std::filesystem::path generation_path = folder / "generation_config.json";
  if (std::filesystem::exists(generation_path)) {
    const Json generation = read_config_json(generation_path);
    const ConfigObject generation_object(generation, generation_path.string());
    const auto ids = token_ids(generation_object, "eos_token_id", config.vocab_size);
    config.eos_token_ids.insert(config.eos_token_ids.end(), ids.begin(), ids.end());
  }
  std::sort(config.eos_token_ids.begin(), config.eos_token_ids.end());
  config.eos_token_ids.erase(std::unique(config.eos_token_ids.begin(), config.eos_token_ids.end()),
                             config.eos_token_ids.end());
}

bool has_window(const DecoderConfig& config) {
  return std::any_of(config.windows.begin(), config.windows.end(),
                     [](std::int64_t window) { return window != 0; });
}

/// Lines for the switches that are not as Llama has them: a model without them keeps the
/// fingerprint that it had before there were any.
std::string facts_of_switches(const DecoderConfig& config) {
  std::string facts;
  const auto& bias = config.has_bias;
  const bool alike = std::equal(bias.begin() + 1, bias.begin() + 4, bias.begin()) &&
                     std::equal(bias.begin() + 5, bias.end(), bias.begin() + 4);
  if (!alike) {
    facts += fmt::format("has_bias={}\n", fmt::join(bias, ","));
  }
  if (config.query_key_norm) {
    facts += "query_key_norm=true\n";
  }
  if (config.output_norms) {
    facts += "output_norms=true\n";
  }
  if (config.norm_offset != 0) {
    facts += fmt::format("norm_offset={:.17g}\n", config.norm_offset);
  }
  if (config.activation != Activation::kSilu) {
    facts += fmt::format("activation={}\n", activation_name(config.activation));
  }
  if (config.embedding_scale != 1) {
    facts += fmt::format("embedding_scale={:.17g}\n", config.embedding_scale);
  }
  if (has_window(config)) {
    facts += fmt::format("windows={}\n", fmt::join(config.windows, ","));
  }
  if (config.window_rope_theta) {
    facts += fmt::format("window_rope_theta={:.17g}\n", *config.window_rope_theta);
  }
  if (config.attention_scale) {
    facts += fmt::format("attention_scale={:.17g}\n", *config.attention_scale);
  }
  if (config.attention_cap) {
    facts += fmt::format("attention_cap={:.17g}\n", *config.attention_cap);
  }
  if (config.logit_cap) {
    facts += fmt::format("logit_cap={:.17g}\n", *config.logit_cap);
  }
  return facts;
}

}  // namespace

const char* activation_name(Activation activation) {
  return activation == Activation::kSilu ? "silu" : "gelu_pytorch_tanh";
}

std::vector<std::pair<std::int64_t, std::int64_t>> DecoderConfig::linear_shapes() const {
  const std::int64_t width = hidden_size;
  const std::int64_t q_width = num_attention_heads * head_dim;
  const std::int64_t kv_width = num_key_value_heads * head_dim;
  const std::int64_t wide = intermediate_size;
  return {{q_width, width}, {kv_width, width}, {kv_width, width}, {width, q_width},
          {wide, width},    {wide, width},     {width, wide}};
}

std::int64_t DecoderConfig::num_parameters() const {
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes = linear_shapes();
  std::int64_t layer = (output_norms ? 4 : 2) * hidden_size + (query_key_norm ? 2 * head_dim : 0);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    layer += shapes[i].first * shapes[i].second + (has_bias[i] ? shapes[i].first : 0);
  }
  const std::int64_t tables = (tie_word_embeddings ? 1 : 2) * vocab_size * hidden_size;
  return tables + num_hidden_layers * layer + hidden_size;
}

DecoderConfig read_decoder_config(const std::filesystem::path& folder) {
  require_model_folder(folder);
  const std::filesystem::path path = folder / "config.json";
  if (!std::filesystem::exists(path)) {
    throw Error(
        ErrorKind::kModel, "The model folder has no config.json.",
        {.where = folder.string(),
         .expected = "config.json, *.safetensors and tokenizer.json in one folder",
         .found = "no config.json",
         .fix =
             "Name the folder that holds the files themselves, or copy the model again: a copy may "
             "have been cut short."});
  }
  const Json json = read_config_json(path);
  const ConfigObject object(json, path.string());
  const Family& family = family_of(object);
  if (const Json* quantised = object.find("quantization_config")) {
    object.fail("quantization_config", "none: weights in float32, float16 or bfloat16",
                shown(*quantised), "Use the model's unquantised folder.");
  }
  DecoderConfig config;
  config.model_type = family.model_type();
  family.read(object, config);
  config.torch_dtype = object.text_or("dtype", object.text_or("torch_dtype", ""));
  read_special_tokens(object, folder, config);
  return config;
}

expert::BaseSizes base_sizes_of(const DecoderConfig& config) {
  return {config.vocab_size, config.num_hidden_layers, config.linear_shapes()};
}

std::string canonical_facts(const DecoderConfig& config) {
  std::string facts = fmt::format(
      "model_type={}\nvocab_size={}\nhidden_size={}\nintermediate_size={}\nnum_hidden_layers={}\n"
      "num_attention_heads={}\nnum_key_value_heads={}\nhead_dim={}\nmax_position_embeddings={}\n"
      "rms_norm_eps={:.17g}\nrope_theta={:.17g}\ntie_word_embeddings={}\nattention_bias={}\n"
      "mlp_bias={}\neos_token_ids={}\nbos_token_id={}\n",
      config.model_type, config.vocab_size, config.hidden_size, config.intermediate_size,
      config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads,
      config.head_dim, config.max_position_embeddings, config.rms_norm_eps, config.rope_theta,
      config.tie_word_embeddings, config.has_bias[0], config.has_bias[4],
      fmt::join(config.eos_token_ids, ","),
      config.bos_token_id ? fmt::format("{}", *config.bos_token_id) : "none");
  if (config.rope_scaling) {
    facts +=
        fmt::format("rope_llama3={:.17g},{:.17g},{:.17g},{}\n", config.rope_scaling->factor,
                    config.rope_scaling->low_freq_factor, config.rope_scaling->high_freq_factor,
                    config.rope_scaling->original_max_position_embeddings);
  }
  if (config.linear_rope_factor) {
    facts += fmt::format("rope_linear={:.17g}\n", *config.linear_rope_factor);
  }
  return facts + facts_of_switches(config);
}

}  // namespace baton::weights
