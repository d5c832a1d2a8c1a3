#pragma once
// What methods without indicators share: rows whose target is their answer, and who answers by the
// stage alone.

#include <string>
#include <vector>

#include "baton/method/method.hpp"

namespace baton::method {

/// Every row is learnt with its answer: own ones in file order, then rehearsed ones by task.
class PlainMethod : public Method {
 public:
  /// A router other than the default is kUsage: this method leaves no choice.
  PlainMethod(std::string name, const config::Config& config);

  const std::string& name() const override { return name_; }
  TrainingSet training_set(const LearnerRows& rows) const override;
  std::unique_ptr<Router> make_router() const override;
  std::unique_ptr<Router> make_router(const std::string& router) const override;

 private:
  [[noreturn]] void refuse_router(const std::string& key, const std::string& router) const;

  std::string name_;
};

/// One learner a task, each on its own rows.
std::vector<LearnerPlan> one_learner_a_task(std::size_t num_tasks);
/// The same, each from where the one before it ended.
std::vector<LearnerPlan> one_learner_carried_on(std::size_t num_tasks);

}  // namespace baton::method
