// The chain of SEE (arXiv 2504.06664): newest first, the first expert that says "mine" answers;
// where all pass, the base.

#include "routers.hpp"

namespace baton::method {

namespace {

class SequentialRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  Decision decide(const Query& query, const Panel& panel) const override {
    if (!panel.asked.empty()) {
      const Asked& last = panel.asked.back();
      const PanelExpert& expert = panel.experts[static_cast<std::size_t>(last.expert)];
      if (may_answer(query, expert, last.margin)) {
        return {.answerers = {{.expert = last.expert}}};
      }
    }
    const auto num_left = static_cast<int>(panel.experts.size() - panel.asked.size());
    if (num_left == 0) {
      return {.answerers = {{.expert = kBase}}};
    }
    return {.ask = {num_left - 1}};
  }

  // Where it accepts it answers at the stage it is the newest of.
  bool may_answer(const Query&, const PanelExpert& expert, double margin) const override {
    return margin > expert.threshold;
  }

  MarginRule margin_rule() const override { return MarginRule::kFirst; }

 private:
  std::string name_ = "sequential";
};

}  // namespace

std::unique_ptr<Router> make_sequential_router() {
  return std::make_unique<SequentialRouter>();
}

}  // namespace baton::method
