#include "start_report.hpp"

#include <fmt/format.h>

#include <iostream>

#include "baton/base/log.hpp"

namespace baton::app {

void say_start_of_training(const config::Config& config,
                           const experiment::Workspace& workspace,
                           const StartFacts& facts) {
  std::cerr << config::describe(config, facts.shows_all_keys);
  const weights::DecoderConfig& sizes = workspace.model->config();
  base::log_info("train", fmt::format("base {}: {:.1f} M weights, {} layers, width {}, as {} ({})",
                                      config.model.model_name_or_path,
                                      static_cast<double>(sizes.num_parameters()) / 1e6,
                                      sizes.num_hidden_layers, sizes.hidden_size, workspace.dtype,
                                      facts.dtype_reason));
  base::log_info("train", workspace.device.description);
  base::log_info("train",
                 fmt::format("{} ranks, {} on this machine, {} threads each; {}; template {}",
                             facts.num_ranks, facts.num_local_ranks, facts.num_threads,
                             config.cluster.deterministic
                                 ? "deterministic: the same bits for any number of ranks"
                                 : "fast reduction: last bits depend on the group's size",
                             workspace.prompt_template->name()));
}

}  // namespace baton::app
