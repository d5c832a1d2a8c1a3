#pragma once
// An expert as a PEFT adapter folder: adapter_config.json, adapter_model.safetensors, and a
// README.md that says how to ask it (indicators, threshold, template). Used by `baton export`.
// Knows no model and no HDF5.

#include <filesystem>
#include <optional>
#include <string>

#include "baton/expert/expert_state.hpp"

namespace baton::weights {

struct PeftExportOptions {
  std::string base_model;   // base_model_name_or_path in adapter_config.json; may be empty
  std::string accept_text;  // the indicators' spelling, for the README; may be empty
  std::string pass_text;
  std::optional<double> threshold = {};  // for the README; nothing: that of the training
  std::string
      prompt_suffix;  // text the template's generation prompt adds, for the README; may be empty
};

/// Writes `state` as a folder that peft's PeftModel.from_pretrained loads unchanged. A folder that
/// holds anything but an earlier export is a kUsage error and stays as it is; an earlier export is
/// replaced. Arrays that do not form whole layers of the same linears and rank: kModel.
void export_peft(const expert::ExpertState& state,
                 const std::filesystem::path& out,
                 const PeftExportOptions& options);

}  // namespace baton::weights
