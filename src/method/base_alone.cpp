// The base model without anything learnt: the lower bound.

#include "methods.hpp"
#include "plain_rows.hpp"

namespace baton::method {

namespace {

class BaseAlone final : public PlainMethod {
 public:
  explicit BaseAlone(const config::Config& config) : PlainMethod("base", config) {}

  std::vector<LearnerPlan> learners(std::size_t /*num_tasks*/) const override { return {}; }
};

}  // namespace

std::unique_ptr<Method> make_base_alone(const config::Config& config) {
  return std::make_unique<BaseAlone>(config);
}

}  // namespace baton::method
