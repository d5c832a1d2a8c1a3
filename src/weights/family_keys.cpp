// The keys of a config.json that families share.
#include <fmt/format.h>

#include "family.hpp"

namespace baton::weights {

using base::Json;

namespace {

// Far above every published model; they keep products of sizes inside 64 bits.
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 18;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxHeadDim = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

void require_whole_rotary(const ConfigObject& object) {
  if (object.positive_number_or("partial_rotary_factor", 1.0) != 1.0) {
    object.fail("partial_rotary_factor", "1", shown(*object.find("partial_rotary_factor")),
                "Partial rotary embeddings are not supported.");
  }
}

}  // namespace

void read_rope_scaling(const ConfigObject& object, DecoderConfig& config) {
  const Json* newer = object.find("rope_type");
  const std::string key = newer != nullptr ? "rope_type" : "type";
  const std::string kind = object.text_or(key, "default");
  require_whole_rotary(object);
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

void read_sizes(const ConfigObject& object, DecoderConfig& config) {
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

void read_rope(const ConfigObject& object, DecoderConfig& config) {
  const Json* newer = object.find("rope_parameters");
  const Json* older = object.find("rope_scaling");
  if (newer != nullptr && older != nullptr && *newer != *older) {
    object.fail("rope_scaling", "the same as rope_parameters, or absent", shown(*older),
                "The file describes RoPE twice and differently; keep the right one.");
  }
  config.rope_theta = object.positive_number_or("rope_theta", 10000.0);
  require_whole_rotary(object);
  if (newer != nullptr) {
    const ConfigObject rope(*newer, object.origin() + ", rope_parameters");
    config.rope_theta = rope.positive_number_or("rope_theta", config.rope_theta);
    read_rope_scaling(rope, config);
  } else if (older != nullptr) {
    read_rope_scaling(ConfigObject(*older, object.origin() + ", rope_scaling"), config);
  }
}

void require_activation(const ConfigObject& object, Activation expected, const std::string& key) {
  const std::string name = activation_name(expected);
  if (const std::string found = object.text_or(key, name); found != name) {
    object.fail(
        key, name, found,
        fmt::format("Models of this family are supported with the {} activation only.", name));
  }
}

void read_llama_keys(const ConfigObject& object, DecoderConfig& config) {
  read_sizes(object, config);
  read_rope(object, config);
  config.rms_norm_eps = object.positive_number_or("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = object.boolean_or("tie_word_embeddings", false);
}

void require_key(const ConfigObject& object, const std::string& key) {
  if (object.find(key) == nullptr) {
    object.fail(key, "a value", "no such key",
                "Programs disagree on what its absence means; write the model's own value.");
  }
}

void require_boolean(const ConfigObject& object, const std::string& key, bool allowed) {
  if (object.boolean_or(key, allowed) != allowed) {
    object.fail(key, allowed ? "true" : "false", allowed ? "false" : "true",
                "Models of this family are supported without it only.");
  }
}

void set_bias(bool attention, bool feed_forward, DecoderConfig& config) {
  config.has_bias = {attention,    attention,    attention,   attention,
                     feed_forward, feed_forward, feed_forward};
}

std::int64_t sliding_window(const ConfigObject& object) {
  constexpr const char* kKey = "sliding_window";
  if (object.contains(kKey) && object.find(kKey) == nullptr) {
    return 0;
  }
  return object.integer_or(kKey, 4096, 1, kMaxPositions);
}

void read_windows(const ConfigObject& object,
                  std::int64_t window,
                  const std::function<bool(std::int64_t layer)>& is_sliding,
                  DecoderConfig& config) {
  constexpr const char* kKey = "layer_types";
  const Json* types = object.find(kKey);
  const auto num_layers = static_cast<std::size_t>(config.num_hidden_layers);
  if (types != nullptr && (!types->is_array() || types->size() != num_layers)) {
    object.fail(kKey, fmt::format("a list of {} names, one a layer", num_layers), shown(*types));
  }
  config.windows.assign(num_layers, 0);
  for (std::size_t layer = 0; layer < num_layers; ++layer) {
    bool slides = types == nullptr && is_sliding(static_cast<std::int64_t>(layer));
    if (types != nullptr) {
      slides = (*types)[layer] == "sliding_attention";
      if (!slides && (*types)[layer] != "full_attention") {
        object.fail(kKey, "full_attention or sliding_attention", shown((*types)[layer]),
                    "Other kinds of attention are not supported; choose another model.");
      }
    }
    if (slides && window == 0) {
      object.fail("sliding_window", "the number of keys that sliding layers see", "none");
    }
    config.windows[layer] = slides ? window : 0;
  }
}

void read_qwen_windows(const ConfigObject& object, DecoderConfig& config) {
  const std::int64_t window =
      object.boolean_or("use_sliding_window", false) ? sliding_window(object) : 0;
  const std::int64_t first = object.integer_or("max_window_layers", 28, 0, kMaxLayers);
  read_windows(
      object, window, [&](std::int64_t layer) { return window != 0 && layer >= first; }, config);
}

}  // namespace baton::weights
