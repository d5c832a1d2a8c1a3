// One adapter on the rows of all tasks at once: the usual upper bound of methods with one learner.
// It stands at the last task, for before that not all rows are there.

#include <numeric>

#include "methods.hpp"
#include "plain_rows.hpp"

namespace baton::method {

namespace {

class Multitask final : public PlainMethod {
 public:
  explicit Multitask(const config::Config& config) : PlainMethod("multitask", config) {}

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    if (num_tasks == 0) {
      return {};
    }
    LearnerPlan plan{.position = num_tasks - 1, .own_tasks = std::vector<std::size_t>(num_tasks)};
    std::iota(plan.own_tasks.begin(), plan.own_tasks.end(), std::size_t{0});
    return {plan};
  }
};

}  // namespace

std::unique_ptr<Method> make_multitask(const config::Config& config) {
  return std::make_unique<Multitask>(config);
}

}  // namespace baton::method
