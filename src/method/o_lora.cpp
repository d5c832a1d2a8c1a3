// O-LoRA (Wang et al. 2023, arXiv 2310.14152): a new adapter a task on top of all older ones, which
// are frozen and summed with it; a penalty keeps the subspaces of their A factors orthogonal
// (equation 8).

#include "methods.hpp"
#include "plain_rows.hpp"

namespace baton::method {

namespace {

class OLora final : public PlainMethod {
 public:
  explicit OLora(const config::Config& config)
      : PlainMethod("o_lora", config), lambda_(config.method.lambda) {}

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    std::vector<LearnerPlan> plans = one_learner_a_task(num_tasks);
    for (LearnerPlan& plan : plans) {
      for (std::size_t earlier = 0; earlier < plan.position; ++earlier) {
        plan.beside.push_back(earlier);
      }
    }
    return plans;
  }

  std::vector<std::string> own_keys() const override { return {"method.lambda"}; }
  double orthogonality() const override { return lambda_; }

 private:
  double lambda_;
};

}  // namespace

std::unique_ptr<Method> make_o_lora(const config::Config& config) {
  return std::make_unique<OLora>(config);
}

}  // namespace baton::method
