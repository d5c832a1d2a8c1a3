// All experts that are there answer together, and gates say token by token and linear by linear whose
// part counts (PHATGOOSE, arXiv 2402.05859). Nobody is asked; the base answers before the first
// expert has come.

#include <numeric>

#include "routers.hpp"

namespace baton::method {

namespace {

class GatesRouter final : public Router {
 public:
  const std::string& name() const override { return name_; }

  Decision decide(const Query&, const Panel& panel) const override {
    if (panel.experts.empty()) {
      return {.answerers = {{.expert = kBase}}};
    }
    Decision all;
    for (std::size_t expert = 0; expert < panel.experts.size(); ++expert) {
      all.answerers.push_back({.expert = static_cast<int>(expert)});
    }
    return all;
  }

  // At the first stage there is nobody else.
  bool may_answer(const Query&, const PanelExpert& expert, double) const override {
    return expert.position == 0;
  }

  std::vector<std::vector<int>> ensembles(std::size_t num_experts) const override {
    std::vector<std::vector<int>> sets;
    for (std::size_t size = 2; size <= num_experts; ++size) {
      std::vector<int>& members = sets.emplace_back(size);
      std::iota(members.begin(), members.end(), 0);
    }
    return sets;
  }

 private:
  std::string name_ = "gates";
};

}  // namespace

std::unique_ptr<Router> make_gates_router() {
  return std::make_unique<GatesRouter>();
}

}  // namespace baton::method
