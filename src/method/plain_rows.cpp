#include "plain_rows.hpp"

#include <utility>

#include "baton/base/error.hpp"
#include "routers.hpp"

namespace baton::method {

namespace {

void append(std::span<const data::Example> rows,
            data::RowRole role,
            const std::string& task,
            std::vector<data::SelectedRow>& training) {
  for (const data::Example& row : rows) {
    data::SelectedRow& selected = training.emplace_back();
    selected.example = row;
    selected.role = role;
    selected.task = task;
  }
}

}  // namespace

PlainMethod::PlainMethod(std::string name, const config::Config& config) : name_(std::move(name)) {
  if (config.method.router != router_names().front()) {  // the default
    refuse_router("method.router", config.method.router);
  }
}

void PlainMethod::refuse_router(const std::string& key, const std::string& router) const {
  throw base::Error(base::ErrorKind::kUsage, "this method leaves a router no choice",
                    {.where = key,
                     .expected = "its default with method.method = " + name_,
                     .found = router,
                     .fix = "leave the key out, or choose a method of many experts (see)"});
}

TrainingSet PlainMethod::training_set(const LearnerRows& rows) const {
  TrainingSet set;
  for (const TaskRows& own : rows.own) {
    append(own.rows, data::RowRole::kPositive, own.task, set.training);
  }
  for (const data::RehearsalBuffer& buffer : rows.buffers) {
    append(buffer.rows, data::RowRole::kRehearsal, buffer.task, set.training);
  }
  return set;
}

std::unique_ptr<Router> PlainMethod::make_router() const {
  return make_latest_router();
}

std::unique_ptr<Router> PlainMethod::make_router(const std::string& router) const {
  refuse_router("eval.routers", router);
}

std::vector<LearnerPlan> one_learner_a_task(std::size_t num_tasks) {
  std::vector<LearnerPlan> plans;
  for (std::size_t position = 0; position < num_tasks; ++position) {
    plans.push_back({.position = position, .own_tasks = {position}});
  }
  return plans;
}

std::vector<LearnerPlan> one_learner_carried_on(std::size_t num_tasks) {
  std::vector<LearnerPlan> plans = one_learner_a_task(num_tasks);
  for (std::size_t position = 1; position < num_tasks; ++position) {
    plans[position].begins_from = position - 1;
  }
  return plans;
}

}  // namespace baton::method
