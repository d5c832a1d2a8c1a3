// Plain sequential fine-tuning: one adapter carried through all tasks. What forgetting costs.

#include "methods.hpp"
#include "plain_rows.hpp"

namespace baton::method {

namespace {

class Sequential final : public PlainMethod {
 public:
  explicit Sequential(const config::Config& config) : PlainMethod("sequential", config) {}

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    return one_learner_carried_on(num_tasks);
  }
};

}  // namespace

std::unique_ptr<Method> make_sequential(const config::Config& config) {
  return std::make_unique<Sequential>(config);
}

}  // namespace baton::method
