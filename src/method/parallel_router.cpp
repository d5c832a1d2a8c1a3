// All experts are asked; of those that accept the one that is surest answers, by its margin above
// its own threshold. Ties go to the newest.

#include "routers.hpp"

namespace baton::method {

namespace {

class ParallelRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  Decision decide(const Query& query, const Panel& panel) const override {
    if (panel.asked.empty() && !panel.experts.empty()) {
      Decision everyone;
      for (int expert = static_cast<int>(panel.experts.size()) - 1; expert >= 0; --expert) {
        everyone.ask.push_back(expert);
      }
      return everyone;
    }
    int best = kBase;
    double largest = 0;
    for (const Asked& asked : panel.asked) {  // newest first
      const PanelExpert& expert = panel.experts[static_cast<std::size_t>(asked.expert)];
      const double surplus = asked.margin - expert.threshold;
      if (may_answer(query, expert, asked.margin) && (best == kBase || surplus > largest)) {
        best = asked.expert;
        largest = surplus;
      }
    }
    return {.answerers = {{.expert = best}}};
  }

  bool may_answer(const Query&, const PanelExpert& expert, double margin) const override {
    return margin > expert.threshold;
  }

  MarginRule margin_rule() const override { return MarginRule::kSurest; }

 private:
  std::string name_ = "parallel";
};

}  // namespace

std::unique_ptr<Router> make_parallel_router() {
  return std::make_unique<ParallelRouter>();
}

}  // namespace baton::method
