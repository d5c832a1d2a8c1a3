// Who answers is what a closed-form classifier on frozen features of the prompt says (Any-SSR): no
// expert is asked, nothing was trained for it, and some expert always answers.

#include <memory>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/method/feature_classifier.hpp"
#include "routers.hpp"

namespace baton::method {

namespace {

class AnalyticRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  bool needs_features() const override { return true; }
  void take(std::shared_ptr<const FeatureClassifier> classifier) override {
    classifier_ = std::move(classifier);
  }

  Decision decide(const Query& query, const Panel& panel) const override {
    if (panel.experts.empty()) {
      return {.answerers = {{.expert = kBase}}};
    }
    return {.answerers = {{.expert = best(query, panel.experts.size())}}};
  }

  bool may_answer(const Query& query, const PanelExpert& expert, double) const override {
    for (std::size_t stage = expert.position + 1; stage <= classifier_->num_tasks(); ++stage) {
      if (best(query, stage) == static_cast<int>(expert.position)) {
        return true;
      }
    }
    return false;
  }

 private:
  int best(const Query& query, std::size_t num_experts) const {
    BATON_ASSERT(classifier_ != nullptr, "the analytic router was given no classifier");
    return static_cast<int>(classifier_->best(query.features, num_experts));
  }

  std::string name_ = "analytic";
  std::shared_ptr<const FeatureClassifier> classifier_;
};

}  // namespace

std::unique_ptr<Router> make_analytic_router() {
  return std::make_unique<AnalyticRouter>();
}

}  // namespace baton::method
