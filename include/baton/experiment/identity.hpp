#pragma once
// What an expert is made of, as facts with names: settings, base, tokenizer, template, rows. Used
// to know again what a config asks for (train) and to refuse a question to an expert through
// anything else than it was trained with (eval, ask, export).

#include <cstddef>
#include <filesystem>
#include <map>

#include "baton/config/config.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::experiment {

/// What holds for every expert of a run: the settings that change results, the base, what the
/// tokenizer does, every fixed part of the template, the tokens that end an answer. Without a dtype
/// in the workspace "model.dtype" is left out.
expert::Identity common_identity(const config::Config& config, const Workspace& workspace);

/// What determines each learner's expert, by its position: the common facts, the indicators, its rows
/// and buffers, the experts it goes on from or learns beside. Without train rows the fact "task_rows"
/// is left out.
std::map<std::size_t, expert::Identity> identities_of(const config::Config& config,
                                                      const Workspace& workspace,
                                                      const method::Method& method,
                                                      const RunFacts& run);

/// kModel, with a line for each fact, unless the expert was trained with the common facts `now`;
/// `path` is its file.
void check_common_identity(const expert::ExpertState& expert,
                           const expert::Identity& now,
                           const std::filesystem::path& path);

}  // namespace baton::experiment
