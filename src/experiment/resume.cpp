#include "resume.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/comm/share.hpp"

namespace baton::experiment {

namespace {

std::optional<expert::TrainingState> load_saved_state(const std::filesystem::path& folder,
                                                      const expert::TrainingState& facts) {
  checkpoint::NewestGeneration newest = checkpoint::load_newest_generation(folder);
  for (const std::string& line : newest.passed_over) {
    base::log_warning("save", fmt::format("{}: {}", facts.task, line));
  }
  if (!newest.state) {
    return std::nullopt;
  }
  base::log_info(
      "save",
      fmt::format("{}: goes on after update {} of {}, from {}, the newest valid state", facts.task,
                  newest.state->step, newest.state->num_updates, newest.path.string()));
  if (newest.state->threads_per_rank != facts.threads_per_rank) {
    base::log_warning(
        "save",
        fmt::format(
            "{}: saved with {} threads a rank, goes on with {}: the last bits may differ from "
            "those of an undisturbed training (cluster.threads_per_rank sets the number)",
            facts.task, newest.state->threads_per_rank, facts.threads_per_rank));
  }
  return std::move(newest.state);
}

}  // namespace

double go_on_from_saved_state(const std::filesystem::path& folder,
                              const expert::TrainingState& facts,
                              comm::Communicator& group,
                              train::ExpertLearner& learner) {
  const auto num_parameters = static_cast<std::size_t>(learner.num_parameters());
  // On the leader with its floats, on the others without.
  std::optional<expert::TrainingState> saved = comm::from_leader(group, [&] {
    auto state = load_saved_state(folder, facts);
    BATON_ASSERT(!state || state->parameters.size() == num_parameters,
                 fmt::format("{} parameters saved, {} in training",
                             state ? state->parameters.size() : 0, num_parameters));
    return state;
  });
  if (!saved) {
    return 0;
  }
  std::vector<std::vector<float>*> arrays = {&saved->parameters, &saved->first_moment,
                                             &saved->second_moment};
  if (learner.keeps_best() && saved->validation && saved->validation->best_step > 0) {
    arrays.push_back(&saved->best_parameters);
  }
  for (std::vector<float>* values : arrays) {
    values->resize(num_parameters);
    group.broadcast({values->data(), values->size(), false}, 0);
  }
  comm::together(group, [&] { learner.restore(*saved); });
  return saved->seconds;
}

}  // namespace baton::experiment
