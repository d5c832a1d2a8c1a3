#pragma once
// What every command that computes needs: the base model on this rank's device, its tokenizer, the
// prompt template and the indicators, made from the config with every "auto" resolved.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/device/device.hpp"
#include "baton/expert/indicators.hpp"
#include "baton/method/method.hpp"
#include "baton/model/decoder.hpp"
#include "baton/tokenizer/prompt_template.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::experiment {

struct Workspace {
  device::Device device;
  std::string dtype;                      // "float32" | "bfloat16", never "auto"
  std::unique_ptr<model::Decoder> model;  // nothing in a workspace that computes nothing
  std::string base_fingerprint;
  std::vector<std::int64_t> base_eos_ids;  // of the model's own configs
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::unique_ptr<tokenizer::PromptTemplate> prompt_template;
  std::optional<expert::Indicators> indicators;  // for training by a method that uses them

  /// Tokens that end an answer: the template's, and those of the model's own configs.
  std::vector<std::int64_t> stop_ids() const;
};

/// Threads of this process: what is asked for, or the cores of the machine over its ranks, at
/// least 1. Sets LibTorch's pools and warns when all ranks together have more threads than cores.
int set_threads(const config::ClusterConfig& cluster, int local_rank, int local_size);

/// Loads everything but the indicators, which only training needs: an expert has its own. "auto" is
/// what this process alone computes fast; a run's config says the type that its world chose.
Workspace open_workspace(const config::Config& config, const device::Device& device);

/// Everything but a model, a device and a dtype: for commands that compute nothing but must know
/// whether an expert belongs to the model folder. Reads every weight once.
Workspace open_workspace_without_model(const config::Config& config);

/// The base in words: its folder's name, its number of weights, their type.
std::string describe_base(const config::Config& config, const Workspace& workspace);

/// Tokenizer and template alone.
void open_text_parts(const config::Config& config, Workspace& workspace);

/// The indicators of the config, for training by a method that uses them. Words of two tokens, equal ones, and with a model
/// ones too close to tell apart: kUsage.
void find_indicators(const config::MethodConfig& config,
                     const method::Method& method,
                     Workspace& workspace);

}  // namespace baton::experiment
