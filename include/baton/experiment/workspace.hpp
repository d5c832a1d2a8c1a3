#pragma once
// What every command that computes needs: the base model on this rank's device, its tokenizer, the
// prompt template and the indicators, made from the config with every "auto" resolved.

#include <cstdint>
#include <memory>
#include <string>

#include "baton/config/config.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/device/device.hpp"
#include "baton/model/decoder.hpp"
#include "baton/tokenizer/prompt_template.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::experiment {

struct Workspace {
  device::Device device;
  std::string dtype;         // "float32" | "bfloat16", never "auto"
  std::string dtype_reason;  // why, for the log
  std::unique_ptr<model::Decoder> model;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::unique_ptr<tokenizer::PromptTemplate> prompt_template;
  data::Indicators indicators;

  /// Tokens that end an answer: the template's, and those of the model's own configs.
  std::vector<std::int64_t> stop_ids() const;
};

/// Threads of this process: what is asked for, or the cores of the machine over its ranks, at
/// least 1. Sets LibTorch's pools and warns when all ranks together have more threads than cores.
int set_threads(const config::ClusterConfig& cluster, int local_rank, int local_size);

/// Loads everything. Indicators that are two tokens, equal, or too close to tell apart: kUsage.
Workspace open_workspace(const config::Config& config, int local_rank, int local_size = 1);

/// Tokenizer and template alone, for commands that load no weights.
void open_text_parts(const config::Config& config, Workspace& workspace);

/// The ids of the two indicators, checked as far as the tokenizer can.
data::Indicators resolve_indicators(const config::MethodConfig& method,
                                    const tokenizer::Tokenizer& tokenizer);

}  // namespace baton::experiment
