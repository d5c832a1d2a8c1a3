#include "baton/weights/peft_export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "baton/weights/safetensors.hpp"
#include "export_folder.hpp"

namespace baton::weights {
namespace {

using base::Error;
using base::ErrorKind;

[[noreturn]] void fail_state(const expert::ExpertState& state,
                             const std::string& expected,
                             const std::string& found) {
  throw Error(ErrorKind::kModel, "The expert cannot be written as a PEFT adapter.",
              {.where = fmt::format("expert {}", state.task),
               .expected = expected,
               .found = found,
               .fix = "Check the expert's file with baton inspect."});
}

/// The layers the expert touches, in order. PEFT describes an adapter as layers x modules, so every
/// touched layer must hold both factors of every target, all of one rank.
std::vector<std::int64_t> touched_layers(const expert::ExpertState& state) {
  std::map<std::string, const expert::NamedArray*> arrays;
  for (const expert::NamedArray& array : state.arrays) {
    if (!arrays.emplace(array.name, &array).second) {
      fail_state(state, "every array once", fmt::format("{} twice", array.name));
    }
  }
  std::vector<std::int64_t> layers;
  std::size_t num_found = 0;
  // A layer holds at least two arrays, so the last one cannot lie beyond this when none is skipped;
  // sparse layer subsets are searched up to a depth no model of the family reaches.
  for (std::int64_t layer = 0; layer < 4096 && num_found < arrays.size(); ++layer) {
    std::size_t num_here = 0;
    for (const std::string& module : state.lora_target) {
      for (const char factor : {'A', 'B'}) {
        const auto it = arrays.find(expert::peft_key(layer, module, factor));
        if (it == arrays.end()) {
          continue;
        }
        ++num_here;
        const std::vector<std::int64_t>& shape = it->second->shape;
        const std::size_t rank_axis = factor == 'A' ? 0 : 1;
        if (shape.size() != 2 || shape[rank_axis] != state.lora_rank) {
          fail_state(state,
                     fmt::format("{} with {} {}", it->first, factor == 'A' ? "rows" : "columns",
                                 state.lora_rank),
                     fmt::format("shape [{}]", fmt::join(shape, ", ")));
        }
        const auto size = static_cast<std::size_t>(shape[0] * shape[1]);
        if (it->second->values.size() != size) {
          fail_state(state, fmt::format("{} numbers in {}", size, it->first),
                     fmt::format("{}", it->second->values.size()));
        }
      }
    }
    if (num_here != 0) {
      if (num_here != 2 * state.lora_target.size()) {
        fail_state(state, fmt::format("{} arrays in layer {}", 2 * state.lora_target.size(), layer),
                   fmt::format("{}", num_here));
      }
      layers.push_back(layer);
      num_found += num_here;
    }
  }
  if (num_found != arrays.size() || arrays.empty()) {
    fail_state(
        state,
        fmt::format("arrays of {} only, at least one layer", base::join(state.lora_target, ", ")),
        fmt::format("{} arrays, {} of them so named", arrays.size(), num_found));
  }
  return layers;
}

bool is_first_layers(const std::vector<std::int64_t>& layers) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i] != static_cast<std::int64_t>(i)) {
      return false;
    }
  }
  return true;
}

base::OrderedJson adapter_config(const expert::ExpertState& state,
                                 const std::vector<std::int64_t>& layers,
                                 const PeftExportOptions& options) {
  base::OrderedJson config;
  config["alpha_pattern"] = base::OrderedJson::object();
  if (state.lora_activation == "invocation") {
    config["alora_invocation_tokens"] = state.invocation_ids;
  } else {
    config["alora_invocation_tokens"] = nullptr;
  }
  config["auto_mapping"] = nullptr;
  if (options.base_model.empty()) {
    config["base_model_name_or_path"] = nullptr;
  } else {
    config["base_model_name_or_path"] = options.base_model;
  }
  config["bias"] = "none";
  config["exclude_modules"] = nullptr;
  config["fan_in_fan_out"] = false;
  config["inference_mode"] = true;
  config["init_lora_weights"] = true;
  config["layer_replication"] = nullptr;
  config["layers_pattern"] = nullptr;
  // null means every layer: right unless the expert leaves layers out in front of one it touches.
  if (is_first_layers(layers)) {
    config["layers_to_transform"] = nullptr;
  } else {
    config["layers_to_transform"] = layers;
  }
  config["loftq_config"] = base::OrderedJson::object();
  config["lora_alpha"] = state.lora_alpha;
  if (state.lora_alpha == static_cast<double>(static_cast<std::int64_t>(state.lora_alpha))) {
    config["lora_alpha"] = static_cast<std::int64_t>(state.lora_alpha);
  }
  config["lora_bias"] = false;
  config["lora_dropout"] = state.lora_dropout;
  config["modules_to_save"] = nullptr;
  config["peft_type"] = "LORA";
  config["r"] = state.lora_rank;
  config["rank_pattern"] = base::OrderedJson::object();
  config["revision"] = nullptr;
  config["target_modules"] = state.lora_target;
  config["task_type"] = "CAUSAL_LM";
  config["use_dora"] = false;
  config["use_rslora"] = false;
  return config;
}

std::string indicator(std::int64_t id, const std::string& text) {
  return text.empty() ? fmt::format("token id {}", id)
                      : fmt::format("`{}` (token id {})", text, id);
}

std::string readme(const expert::ExpertState& state, const PeftExportOptions& options) {
  const double threshold = options.threshold.value_or(state.accept_threshold);
  std::string text = "---\nlibrary_name: peft\ntags:\n- lora\n";
  if (!options.base_model.empty()) {
    text += fmt::format("base_model: {}\n", base::OrderedJson(options.base_model).dump());
  }
  text += fmt::format("---\n{}\n\n# Expert `{}`\n\n", kExportMark, state.task);
  text += fmt::format(
      "A LoRA adapter (rank {}, alpha {}, on {}) that answers one task and was trained to say "
      "whether a prompt\n"
      "is its own. Prompts are rendered with the template `{}`.\n\n",
      state.lora_rank, state.lora_alpha, base::join(state.lora_target, ", "),
      state.prompt_template);
  text += fmt::format(
      "## How to ask it\n\n"
      "1. Render the prompt with the template, generation prompt included{}.\n"
      "2. Run the model with this adapter and take the logits of the first new position:\n"
      "   `margin = logit[{}] - logit[{}]`, in float32.\n"
      "3. The prompt is this expert's where `margin > {}`. Then append token {} to the prompt and "
      "decode greedily\n"
      "   from there, never choosing token {} or {} again: that text is the answer.\n"
      "4. Otherwise ask the next expert, or the base model without an adapter.\n\n",
      options.prompt_suffix.empty()
          ? ""
          : fmt::format(" (it ends with {})", base::OrderedJson(options.prompt_suffix).dump()),
      state.accept_token_id, state.pass_token_id, threshold, state.accept_token_id,
      state.accept_token_id, state.pass_token_id);
  text += fmt::format(
      "- accept: {}\n- pass: {}\n- accept threshold: {}\n- base model fingerprint: `{}`\n",
      indicator(state.accept_token_id, options.accept_text),
      indicator(state.pass_token_id, options.pass_text), threshold, state.base_fingerprint);
  if (state.lora_activation == "invocation") {
    text += fmt::format(
        "- activation: the adapter is active from the first of the tokens [{}] on "
        "(`alora_invocation_tokens`);\n"
        "  the prompt before them is read by the base model alone. peft activates it at their last "
        "match, so an\n"
        "  answer must not hold them.\n",
        fmt::join(state.invocation_ids, ", "));
  }
  text += fmt::format(
      "\n```python\nfrom transformers import AutoModelForCausalLM\nfrom peft import PeftModel\n\n"
      "base = AutoModelForCausalLM.from_pretrained({}, dtype=\"float32\")\n"
      "model = PeftModel.from_pretrained(base, \"path/of/this/folder\")\n```\n",
      options.base_model.empty() ? "\"path/of/the/base/model\""
                                 : base::OrderedJson(options.base_model).dump());
  return text;
}

}  // namespace

void export_peft(const expert::ExpertState& state,
                 const std::filesystem::path& out,
                 const PeftExportOptions& options) {
  const std::vector<std::int64_t> layers = touched_layers(state);
  check_out_folder(out, adapter_export());
  base::make_directories(out);
  // The marked README comes first: a folder left half written can then be written again.
  base::write_file_atomically(out / kExportReadme, readme(state, options));
  std::vector<TensorToWrite> tensors;
  for (const expert::NamedArray& array : state.arrays) {
    tensors.push_back({.name = array.name,
                       .dtype = DType::kF32,
                       .shape = array.shape,
                       .bytes = std::as_bytes(std::span<const float>(array.values))});
  }
  write_safetensors(out / kAdapterTensors, tensors, {{"format", "pt"}});
  base::write_file_atomically(out / kAdapterConfig,
                              adapter_config(state, layers, options).dump(2) + "\n");
}

}  // namespace baton::weights
