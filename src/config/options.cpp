#include "baton/config/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "baton/base/text.hpp"
#include "option_table.hpp"

namespace baton::config {

const std::vector<OptionInfo>& option_list() {
  static const std::vector<OptionInfo> kList = [] {
    std::vector<OptionInfo> list;
    for (const auto& option : option_table()) {
      list.push_back(option.info);
    }
    return list;
  }();
  return kList;
}

std::vector<std::string> option_keys() {
  std::vector<std::string> keys;
  std::transform(option_list().begin(), option_list().end(), std::back_inserter(keys),
                 [](const OptionInfo& info) { return info.key(); });
  return keys;
}

std::string option_help() {
  std::string text;
  std::string section;
  for (const auto& info : option_list()) {
    if (info.section != section) {
      section = info.section;
      text += fmt::format("[{}]\n", section);
    }
    const std::string note =
        info.is_required
            ? "required"
            : fmt::format("default: {}", info.default_text.empty() ? "none" : info.default_text);
    text +=
        fmt::format("  {:<22} {}\n  {:<22} {} ({})\n", info.name, info.help, "", info.values, note);
  }
  return text;
}

namespace {

// What users of other tools type.
constexpr std::array<std::pair<const char*, const char*>, 16> kOtherNames = {{
    {"lr", "train.learning_rate"},
    {"epochs", "train.num_train_epochs"},
    {"num_epochs", "train.num_train_epochs"},
    {"per_device_train_batch_size", "train.micro_batch_size"},
    {"gradient_accumulation_steps", "train.train_batch_size"},
    {"lr_scheduler", "train.lr_scheduler_type"},
    {"model", "model.model_name_or_path"},
    {"model_path", "model.model_name_or_path"},
    {"bf16", "model.dtype"},
    {"fp16", "model.dtype"},
    {"torch_dtype", "model.dtype"},
    {"dataset", "data.tasks"},
    {"max_length", "data.cutoff_len"},
    {"max_seq_length", "data.cutoff_len"},
    {"target_modules", "lora.lora_target"},
    {"threshold", "method.accept_threshold"},
}};

/// The only key of the section, or else of all, that ends with "_NAME": "rank" is lora_rank.
std::string key_ending_with(const std::string& section, const std::string& name) {
  std::vector<std::string> here;
  std::vector<std::string> all;
  for (const auto& info : option_list()) {
    if (info.name.ends_with("_" + name)) {
      all.push_back(info.key());
      if (info.section == section) {
        here.push_back(info.key());
      }
    }
  }
  if (here.size() == 1) {
    return here.front();
  }
  return all.size() == 1 ? all.front() : "";
}

}  // namespace

std::string suggest_key(const std::string& section, const std::string& name) {
  std::vector<std::string> here;
  std::vector<std::string> names;
  for (const auto& info : option_list()) {
    names.push_back(info.name);
    if (info.section == section) {
      here.push_back(info.name);
    }
  }
  const auto key_of = [](const std::string& wanted) {
    const auto& list = option_list();
    return std::find_if(list.begin(), list.end(),
                        [&](const auto& info) { return info.name == wanted; })
        ->key();
  };
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return key_of(name);
  }
  if (const std::string key = key_ending_with(section, name); !key.empty()) {
    return key;
  }
  for (const auto& [other, key] : kOtherNames) {
    if (name == other) {
      return key;
    }
  }
  if (const auto nearest = base::nearest_name(name, here)) {
    return section + "." + *nearest;
  }
  if (const auto nearest = base::nearest_name(name, names)) {
    return key_of(*nearest);
  }
  return "";
}

}  // namespace baton::config
