// SEE (arXiv 2504.06664): an expert a task over the frozen base, each taught to say whether a query
// is its own by rows of earlier tasks; a query goes down the line, newest expert first.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "baton/method/see_rows.hpp"
#include "baton/method/task_buffer.hpp"
#include "methods.hpp"

namespace baton::method {

namespace {

// General rows beside those that are trained on, for the thresholds alone.
constexpr std::int64_t kSpareGeneralRows = 32;
// Two more experts learn half of the rows each.
constexpr double kCostOfCrossFit = 2;

ReconstructionOptions reconstruction_options(const config::Config& config) {
  ReconstructionOptions options;
  options.negative_ratio = config.method.negative_ratio;
  options.negative_floor = config.method.negative_floor;
  options.general_samples = config.data.general_samples;
  options.calibration_ratio =
      config.method.accept_threshold.is_auto ? config.method.calibration_ratio : 0.0;
  options.mismatch_ratio = config.method.mismatch_ratio;
  options.run_seed = config.train.seed;
  return options;
}

bool is_own(const data::TrainingRow& row) {
  return row.role == data::RowRole::kPositive;
}

class See final : public Method {
 public:
  explicit See(const config::Config& config)
      : options_(reconstruction_options(config)),
        buffer_size_(buffer_size(config.method)),
        keys_(config.method) {
    buffer_size_.later = options_;
  }

  const std::string& name() const override { return name_; }

  std::vector<LearnerPlan> learners(std::size_t num_tasks) const override {
    std::vector<LearnerPlan> plans;
    for (std::size_t position = 0; position < num_tasks; ++position) {
      LearnerPlan plan{.position = position, .own_tasks = {position}, .takes_general = true};
      for (std::size_t earlier = 0; earlier < position; ++earlier) {
        plan.buffers.push_back(earlier);
      }
      plans.push_back(std::move(plan));
    }
    return plans;
  }

  std::vector<std::string> own_keys() const override {
    return {"method.negative_ratio",        "method.negative_floor",
            "method.buffer_ratio",          "method.buffer_floor",
            "method.buffer_selection",      "method.accept_indicator",
            "method.pass_indicator",        "method.accept_threshold",
            "method.calibration_ratio",     "method.calibration_batch_size",
            "method.indicator_loss_weight", "method.indicator_balance",
            "method.prior_correction",      "method.mismatch_ratio",
            "method.balanced_batches",      "data.general",
            "data.general_samples"};
  }

  std::optional<data::RehearsalBuffer> make_buffer(const TaskRows& task) const override {
    return method::make_buffer(task.task, task.rows, buffer_size_, options_.run_seed,
                               task.features);
  }

  bool chooses_by_features(std::size_t num_task_rows) const override {
    return method::chooses_by_features(buffer_size_, num_task_rows);
  }

  std::vector<data::Example> choose_general(std::span<const data::Example> rows) const override {
    const std::int64_t wanted = options_.general_samples;
    const std::int64_t spare = finds_threshold() ? kSpareGeneralRows : 0;
    return method::choose_general(rows, wanted > 0 ? wanted + spare : 0, options_.run_seed);
  }

  TrainingSet training_set(const LearnerRows& rows) const override {
    const std::span<const data::Example> own =
        rows.own.empty() ? std::span<const data::Example>() : rows.own.front().rows;
    Reconstruction made = reconstruct(rows.name, own, rows.buffers, rows.general, options_);
    give_targets(made.training, rows.indicators);
    give_targets(made.held_out, rows.indicators);
    return {.training = std::move(made.training),
            .held_out = std::move(made.held_out),
            .cross_fits = made.cross_fits,
            .warnings = std::move(made.warnings)};
  }

  void give_targets(std::span<data::SelectedRow> rows,
                    const expert::Indicators& indicators) const override {
    for (data::SelectedRow& row : rows) {
      row.has_answer = row.role == data::RowRole::kPositive;
      row.opening = {
          static_cast<tokenizer::TokenId>(row.has_answer ? indicators.accept : indicators.pass)};
    }
  }

  bool uses_indicators() const override { return true; }

  // In the indicators' part of the loss the own rows together weigh as much as the foreign ones.
  void weigh_openings(std::span<data::TrainingRow> rows) const override {
    const auto num_own = static_cast<double>(std::count_if(rows.begin(), rows.end(), is_own));
    const double num_foreign = static_cast<double>(rows.size()) - num_own;
    if (!keys_.indicator_balance || num_own == 0 || num_foreign == 0) {
      return;
    }
    const double half = (num_own + num_foreign) / 2;
    for (data::TrainingRow& row : rows) {
      row.opening_weight = is_own(row) ? half / num_own : half / num_foreign;
    }
  }

  double opening_loss_weight() const override { return keys_.indicator_loss_weight; }

  bool finds_threshold() const override { return keys_.accept_threshold.is_auto; }

  // A classifier that saw `own` and `foreign` rows, by their weights, has a margin that is log(own /
  // foreign) above that of one that saw both alike.
  double threshold(std::span<const data::TrainingRow> rows) const override {
    double own = 0;
    double foreign = 0;
    for (const data::TrainingRow& row : rows) {
      (is_own(row) ? own : foreign) += row.opening_weight;
    }
    const bool shifts = keys_.prior_correction && own > 0 && foreign > 0;
    return keys_.accept_threshold.value + (shifts ? std::log(own / foreign) : 0);
  }

  bool balances_batches() const override { return keys_.balanced_batches; }

  std::vector<std::string> doubts() const override {
    if (keys_.prior_correction && (finds_threshold() || keys_.indicator_balance)) {
      return {fmt::format(
          "method.prior_correction changes nothing with {}: {}",
          finds_threshold() ? "method.accept_threshold = auto" : "method.indicator_balance = true",
          finds_threshold() ? "the threshold is found on the margins as they are"
                            : "own and foreign rows weigh alike already")};
    }
    return {};
  }

  double cost_factor(std::size_t num_own_rows) const override {
    return cross_fits(options_, num_own_rows) ? kCostOfCrossFit : 1;
  }

  bool has_experts() const override { return true; }
  bool lets_routers_choose() const override { return true; }

  std::unique_ptr<Router> make_router() const override { return make_router(keys_.router); }
  std::unique_ptr<Router> make_router(const std::string& router) const override {
    return method::make_router(router);
  }

 private:
  std::string name_ = "see";
  ReconstructionOptions options_;
  BufferSize buffer_size_;
  config::MethodConfig keys_;
};

}  // namespace

std::unique_ptr<Method> make_see(const config::Config& config) {
  return std::make_unique<See>(config);
}

}  // namespace baton::method
