// Experience replay: one adapter carried through all tasks, each learnt together with the rehearsal
// buffers of the tasks before it.

#include "baton/method/task_buffer.hpp"
#include "methods.hpp"
#include "plain_rows.hpp"

namespace baton::method {

namespace {

class Replay final : public PlainMethod {
 public:
  explicit Replay(const config::Config& config)
      : PlainMethod("replay", config),
        size_(buffer_size(config.method)),
        seed_(config.train.seed) {}

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    std::vector<LearnerPlan> plans = one_learner_carried_on(num_tasks);
    for (LearnerPlan& plan : plans) {
      for (std::size_t earlier = 0; earlier < plan.position; ++earlier) {
        plan.buffers.push_back(earlier);
      }
    }
    return plans;
  }

  std::vector<std::string> own_keys() const override {
    return {"method.buffer_ratio", "method.buffer_floor", "method.buffer_selection"};
  }

  std::optional<data::RehearsalBuffer> make_buffer(const TaskRows& task) const override {
    return method::make_buffer(task.task, task.rows, size_, seed_, task.features);
  }

  bool chooses_by_features(std::size_t num_task_rows) const override {
    return method::chooses_by_features(size_, num_task_rows);
  }

 private:
  BufferSize size_;
  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<Method> make_replay(const config::Config& config) {
  return std::make_unique<Replay>(config);
}

}  // namespace baton::method
