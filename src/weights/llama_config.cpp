#include "baton/weights/llama_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "model_folder.hpp"

namespace baton::weights {
namespace {

using base::Error;
using base::ErrorKind;
using base::Json;

constexpr const char* kArchitecture = "LlamaForCausalLM";
constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;

// Far above every published model of the family; they keep products of sizes inside 64 bits.
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 18;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxHeadDim = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 80) {
    text = text.substr(0, 77) + "...";
  }
  return text;
}

/// One JSON object of a model file with typed, checked access; null counts as absent.
class ConfigObject {
 public:
  ConfigObject(const Json& object, std::string origin)
      : object_(object), origin_(std::move(origin)) {
    if (!object.is_object()) {
      throw Error(ErrorKind::kModel, "A part of the model configuration is not an object.",
                  {.where = origin_,
                   .expected = "a JSON object",
                   .found = object.type_name(),
                   .fix = "Copy the model folder again."});
    }
  }

  const Json* find(const std::string& key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  [[noreturn]] void fail(const std::string& key,
                         const std::string& expected,
                         const std::string& found,
                         const std::string& fix = "") const {
    throw Error(ErrorKind::kModel, fmt::format("The model configuration's {} cannot be used.", key),
                {.where = fmt::format("{}, key {}", origin_, key),
                 .expected = expected,
                 .found = found,
                 .fix = fix});
  }

  std::int64_t integer_of(const std::string& key,
                          const Json& value,
                          std::int64_t low,
                          std::int64_t high) const {
    const std::string expected = fmt::format("a whole number from {} to {}", low, high);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() &&
         value.get<std::uint64_t>() >
             static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) {
      fail(key, expected, shown(value));
    }
    const auto number = value.get<std::int64_t>();
    if (number < low || number > high) {
      fail(key, expected, shown(value));
    }
    return number;
  }

  std::int64_t required_integer(const std::string& key, std::int64_t low, std::int64_t high) const {
    const Json* value = find(key);
    if (value == nullptr) {
      fail(key, fmt::format("a whole number from {} to {}", low, high), "no such key",
           "The file is incomplete or of another model family; copy the model folder again.");
    }
    return integer_of(key, *value, low, high);
  }

  std::int64_t integer_or(const std::string& key,
                          std::int64_t absent,
                          std::int64_t low,
                          std::int64_t high) const {
    const Json* value = find(key);
    return value == nullptr ? absent : integer_of(key, *value, low, high);
  }

  double positive_number(const std::string& key, const Json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
      fail(key, "a positive number", shown(value));
    }
    return value.get<double>();
  }

  double positive_number_or(const std::string& key, double absent) const {
    const Json* value = find(key);
    return value == nullptr ? absent : positive_number(key, *value);
  }

  double required_positive_number(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) {
      fail(key, "a positive number", "no such key");
    }
    return positive_number(key, *value);
  }

  bool boolean_or(const std::string& key, bool absent) const {
    const Json* value = find(key);
    if (value == nullptr) {
      return absent;
    }
    if (!value->is_boolean()) {
      fail(key, "true or false", shown(*value));
    }
    return value->get<bool>();
  }

  std::string text_or(const std::string& key, const std::string& absent) const {
    const Json* value = find(key);
    if (value == nullptr) {
      return absent;
    }
    if (!value->is_string()) {
      fail(key, "a text", shown(*value));
    }
    return value->get<std::string>();
  }

 private:
  const Json& object_;
  std::string origin_;
};

Json read_config_json(const std::filesystem::path& path) {
  return base::parse_json(base::read_file(path, ErrorKind::kModel, kMaxConfigBytes),
                          ErrorKind::kModel, path.string());
}

void check_family(const ConfigObject& object) {
  static const std::string kFix = fmt::format(
      "Supported architectures: {} (model_type llama). Choose another base model.", kArchitecture);
  const std::string model_type = object.text_or("model_type", "");
  if (model_type != "llama") {
    object.fail("model_type", "llama", model_type.empty() ? "no such key" : model_type, kFix);
  }
  if (const Json* architectures = object.find("architectures")) {
    const bool known =
        architectures->is_array() && std::find(architectures->begin(), architectures->end(),
                                               Json(kArchitecture)) != architectures->end();
    if (!known) {
      object.fail("architectures", kArchitecture, shown(*architectures), kFix);
    }
  }
  if (const std::string act = object.text_or("hidden_act", "silu"); act != "silu") {
    object.fail("hidden_act", "silu", act,
                "Only Llama models with the silu activation are supported.");
  }
  if (const Json* quantised = object.find("quantization_config")) {
    object.fail("quantization_config", "none: weights in float32, float16 or bfloat16",
                shown(*quantised), "Use the model's unquantised folder.");
  }
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

/// The scaling in `object`, which is rope_parameters (newer) or rope_scaling (older).
void read_rope_scaling(const ConfigObject& object, LlamaConfig& config) {
  const Json* newer = object.find("rope_type");
  const std::string key = newer != nullptr ? "rope_type" : "type";
  const std::string kind = object.text_or(key, "default");
  if (object.positive_number_or("partial_rotary_factor", 1.0) != 1.0) {
    object.fail("partial_rotary_factor", "1", shown(*object.find("partial_rotary_factor")),
                "Partial rotary embeddings are not supported.");
  }
  if (kind == "linear") {
    config.linear_rope_factor = object.required_positive_number("factor");
  } else if (kind == "llama3") {
    Llama3RopeScaling scaling;
    scaling.factor = object.required_positive_number("factor");
    scaling.low_freq_factor = object.required_positive_number("low_freq_factor");
    scaling.high_freq_factor = object.required_positive_number("high_freq_factor");
    scaling.original_max_position_embeddings = object.integer_or(
        "original_max_position_embeddings", config.max_position_embeddings, 1, kMaxPositions);
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      object.fail("high_freq_factor",
                  fmt::format("above low_freq_factor ({})", scaling.low_freq_factor),
                  fmt::format("{}", scaling.high_freq_factor));
    }
    config.rope_scaling = scaling;
  } else if (kind != "default") {
    object.fail(key, "default, linear or llama3", kind,
                "Other RoPE scalings are not supported; choose another model.");
  }
}

void read_rope(const ConfigObject& object, const std::string& origin, LlamaConfig& config) {
  const Json* newer = object.find("rope_parameters");
  const Json* older = object.find("rope_scaling");
  if (newer != nullptr && older != nullptr && *newer != *older) {
    object.fail("rope_scaling", "the same as rope_parameters, or absent", shown(*older),
                "The file describes RoPE twice and differently; keep the right one.");
  }
  config.rope_theta = object.positive_number_or("rope_theta", 10000.0);
  if (object.positive_number_or("partial_rotary_factor", 1.0) != 1.0) {
    object.fail("partial_rotary_factor", "1", shown(*object.find("partial_rotary_factor")),
                "Partial rotary embeddings are not supported.");
  }
  if (newer != nullptr) {
    const ConfigObject rope(*newer, origin + ", rope_parameters");
    config.rope_theta = rope.positive_number_or("rope_theta", config.rope_theta);
    read_rope_scaling(rope, config);
  } else if (older != nullptr) {
    read_rope_scaling(ConfigObject(*older, origin + ", rope_scaling"), config);
  }
}

void read_sizes(const ConfigObject& object, LlamaConfig& config) {
  config.vocab_size = object.required_integer("vocab_size", 1, kMaxVocabulary);
  config.hidden_size = object.required_integer("hidden_size", 1, kMaxWidth);
  config.intermediate_size = object.required_integer("intermediate_size", 1, 4 * kMaxWidth);
  config.num_hidden_layers = object.required_integer("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = object.required_integer("num_attention_heads", 1, kMaxHeads);
  config.num_key_value_heads = object.integer_or("num_key_value_heads", config.num_attention_heads,
                                                 1, config.num_attention_heads);
  config.max_position_embeddings =
      object.integer_or("max_position_embeddings", 2048, 1, kMaxPositions);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    object.fail("num_key_value_heads",
                fmt::format("a divisor of num_attention_heads ({})", config.num_attention_heads),
                fmt::format("{}", config.num_key_value_heads));
  }
  if (object.find("head_dim") == nullptr && config.hidden_size % config.num_attention_heads != 0) {
    object.fail("hidden_size",
                fmt::format("a multiple of num_attention_heads ({}), or a head_dim",
                            config.num_attention_heads),
                fmt::format("{}", config.hidden_size));
  }
  config.head_dim = object.integer_or("head_dim", config.hidden_size / config.num_attention_heads,
                                      1, kMaxHeadDim);
  if (config.head_dim % 2 != 0) {
    object.fail("head_dim", "an even number (rotary embeddings turn pairs)",
                fmt::format("{}", config.head_dim));
  }
}

}  // namespace

std::int64_t LlamaConfig::num_parameters() const {
  const std::int64_t query_width = num_attention_heads * head_dim;
  const std::int64_t key_width = num_key_value_heads * head_dim;
  std::int64_t layer = 2 * hidden_size * query_width + 2 * hidden_size * key_width +
                       3 * hidden_size * intermediate_size + 2 * hidden_size;
  if (attention_bias) {
    layer += query_width + 2 * key_width + hidden_size;
  }
  if (mlp_bias) {
    layer += 2 * intermediate_size + hidden_size;
  }
  const std::int64_t tables = (tie_word_embeddings ? 1 : 2) * vocab_size * hidden_size;
  return tables + num_hidden_layers * layer + hidden_size;
}

LlamaConfig read_llama_config(const std::filesystem::path& folder) {
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
  check_family(object);

  LlamaConfig config;
  config.model_type = "llama";
  read_sizes(object, config);
  // Absent keys mean what they mean to transformers' LlamaConfig.
  config.rms_norm_eps = object.positive_number_or("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = object.boolean_or("tie_word_embeddings", false);
  config.attention_bias = object.boolean_or("attention_bias", false);
  config.mlp_bias = object.boolean_or("mlp_bias", false);
  config.torch_dtype = object.text_or("dtype", object.text_or("torch_dtype", ""));
  read_rope(object, path.string(), config);

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
  return config;
}

}  // namespace baton::weights
