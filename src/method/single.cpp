// One expert a task without indicators, asked by who knows the task: what routing could cost at
// most.

#include "methods.hpp"
#include "plain_rows.hpp"
#include "routers.hpp"

namespace baton::method {

namespace {

class Single final : public PlainMethod {
 public:
  explicit Single(const config::Config& config) : PlainMethod("single", config) {}

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    return one_learner_a_task(num_tasks);
  }
  bool has_experts() const override { return true; }
  using PlainMethod::make_router;
  std::unique_ptr<Router> make_router() const override { return make_oracle_router(); }
};

}  // namespace

std::unique_ptr<Method> make_single(const config::Config& config) {
  return std::make_unique<Single>(config);
}

}  // namespace baton::method
