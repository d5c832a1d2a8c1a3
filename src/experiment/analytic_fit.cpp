#include "baton/experiment/analytic_fit.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/checkpoint/statistics_file.hpp"
#include "baton/comm/share.hpp"
#include "baton/data/dataset.hpp"
#include "baton/eval/features.hpp"
#include "shared_batches.hpp"

namespace baton::experiment {

namespace {

using expert::FeatureStatistics;

constexpr std::int64_t kWidth = 1024;
constexpr double kRidge = 1e-3;  // of the mean of the diagonal

std::uint64_t map_seed() {
  return base::seed_for(0, {"analytic router"});
}

class AnalyticFit {
 public:
  AnalyticFit(const AnalyticJob& job, comm::Communicator& group)
      : job_(job),
        group_(group),
        model_(*job.workspace.model),
        map_(map_seed(), model_.config().hidden_size, kWidth) {}

  std::shared_ptr<const method::FeatureClassifier> run() {
    for (const expert::ExpertState& expert : job_.experts.states) {
      tasks_.push_back(statistics_of(expert));
    }
    std::vector<std::vector<double>> weights(tasks_.size());
    for (std::size_t stage = 0; stage < tasks_.size(); ++stage) {
      weights[stage] = comm::from_leader(
          group_, [&] { return solve_classes(std::span(tasks_).first(stage + 1)); });
    }
    return std::make_shared<method::FeatureClassifier>(std::move(map_), std::move(weights));
  }

 private:
  bool leads() const { return group_.rank() == 0; }

  std::string file_of(const expert::ExpertState& expert) const {
    return job_.folder.paths().router_file(job_.folder.paths().position_of(expert.task));
  }

  FeatureStatistics statistics_of(const expert::ExpertState& expert) {
    FeatureStatistics found;
    const bool is_there = comm::from_leader(group_, [&] { return read(expert, found); });
    return is_there ? found : make(expert);
  }

  bool read(const expert::ExpertState& expert, FeatureStatistics& found) const {
    const std::string file = file_of(expert);
    if (job_.folder.has(file)) {
      job_.folder.verify(file);
      found = checkpoint::load_statistics(job_.folder.path_of(file));
      const bool fits = found.base_fingerprint == model_.fingerprint() &&
                        found.rows_fingerprint == rows_fact(expert) && found.width == kWidth &&
                        found.layer == eval::feature_layers(model_) && found.seed == map_seed();
      if (fits) {
        return true;
      }
      base::log_warning("router", fmt::format("{} is of other rows or another base: made anew",
                                              job_.folder.path_of(file).string()));
    }
    if (!job_.may_write) {
      throw base::Error(base::ErrorKind::kUsage, "the analytic router does not know a task yet",
                        {.where = job_.folder.path_of(file).string(),
                         .expected = "sums of the features of its train rows",
                         .found = "none",
                         .fix = "run `baton eval --run " + job_.folder.root().string() +
                                " --set eval.routers=analytic` once: it makes them"});
    }
    return false;
  }

  static std::string rows_fact(const expert::ExpertState& expert) {
    const auto fact = expert.identity.facts().find("task_rows");
    return fact == expert.identity.facts().end() ? "" : fact->second;
  }

  std::vector<eval::Prompt> prompts_of(const expert::ExpertState& expert) const {
    const std::vector<data::Example> rows =
        data::Dataset(job_.config.data.dataset_dir)
            .read_train(expert.task, job_.config.data.max_train_samples);
    if (const std::string now = data::rows_fingerprint(rows); now != rows_fact(expert)) {
      throw base::Error(base::ErrorKind::kData, "the train rows are not those of the expert",
                        {.where = "task " + expert.task,
                         .expected = "rows " + rows_fact(expert).substr(0, 12),
                         .found = "rows " + now.substr(0, 12),
                         .fix = "restore the task's files, or leave the analytic router out"});
    }
    const data::RowEncoder encoder(*job_.workspace.tokenizer, *job_.workspace.prompt_template,
                                   job_.config.data.cutoff_len);
    data::EncodingCounts counts;
    std::vector<eval::Prompt> prompts;
    for (const data::Example& row : rows) {
      prompts.push_back(encoder.encode_prompt(row, counts));
    }
    return prompts;
  }

  FeatureStatistics make(const expert::ExpertState& expert) {
    std::vector<eval::Prompt> prompts;
    comm::together(group_, [&] { prompts = prompts_of(expert); });
    const std::vector<std::vector<double>> features =
        share_features(answering_of(job_.workspace, job_.config), map_, prompts, group_);
    FeatureStatistics made;
    comm::together(group_, [&] {
      if (leads()) {
        made = sums_of(expert, features);
        const std::string file = file_of(expert);
        checkpoint::save_statistics(job_.folder.path_of(file), made);
        job_.folder.record_file(file, expert.task, "", run::made_here());
        base::log_info("router", fmt::format("{}: features of {} rows for the analytic router",
                                             expert.task, made.num_rows));
      }
    });
    return made;
  }

  FeatureStatistics sums_of(const expert::ExpertState& expert,
                            const std::vector<std::vector<double>>& features) const {
    FeatureStatistics made;
    made.task = expert.task;
    made.base_fingerprint = model_.fingerprint();
    made.rows_fingerprint = rows_fact(expert);
    made.layer = eval::feature_layers(model_);
    made.num_inputs = model_.config().hidden_size;
    made.width = kWidth;
    made.seed = map_seed();
    made.num_rows = static_cast<std::int64_t>(features.size());
    const at::Tensor phi =
        at::empty({made.num_rows, kWidth}, at::TensorOptions().dtype(at::kDouble));
    for (std::int64_t row = 0; row < made.num_rows; ++row) {
      const std::vector<double>& wide = features[static_cast<std::size_t>(row)];
      std::copy(wide.begin(), wide.end(), phi.data_ptr<double>() + row * kWidth);
    }
    const auto take = [](const at::Tensor& tensor) {
      const at::Tensor flat = tensor.to(at::kFloat).contiguous();
      const float* values = flat.data_ptr<float>();
      return std::vector<float>(values, values + flat.numel());
    };
    made.sum = take(phi.sum(0));
    made.gram = take(at::matmul(phi.t(), phi));
    return made;
  }

  const AnalyticJob& job_;
  comm::Communicator& group_;
  const model::Decoder& model_;
  method::FeatureMap map_;
  std::vector<FeatureStatistics> tasks_;  // on rank 0
};

}  // namespace

std::vector<std::vector<double>> share_features(const eval::Answering& answering,
                                                const method::FeatureMap& map,
                                                std::span<const eval::Prompt> prompts,
                                                comm::Communicator& group) {
  const std::int64_t num_layers = eval::feature_layers(answering.model);
  return share_by_batch<std::vector<double>>(
      prompts, answering.batch_size, group, [&](const std::vector<eval::Prompt>& batch) {
        std::vector<std::vector<double>> made;
        for (const std::vector<float>& features :
             eval::prompt_features(answering.model, batch, num_layers)) {
          made.push_back(map.widen(features));
        }
        return made;
      });
}

std::vector<double> solve_classes(std::span<const FeatureStatistics> tasks) {
  std::vector<std::size_t> by_name(tasks.size());
  std::iota(by_name.begin(), by_name.end(), std::size_t{0});
  std::sort(by_name.begin(), by_name.end(),
            [&](std::size_t a, std::size_t b) { return tasks[a].task < tasks[b].task; });
  const std::int64_t width = tasks.front().width;
  const auto doubles = at::TensorOptions().dtype(at::kDouble);
  at::Tensor gram = at::zeros({width, width}, doubles);
  at::Tensor sums = at::empty({width, static_cast<std::int64_t>(tasks.size())}, doubles);
  for (const std::size_t i : by_name) {
    const auto count = static_cast<double>(tasks[i].num_rows);
    const auto as_tensor = [](const std::vector<float>& values, at::IntArrayRef shape) {
      return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat).to(at::kDouble);
    };
    gram.add_(as_tensor(tasks[i].gram, {width, width}), 1 / count);
    sums.select(1, static_cast<std::int64_t>(i)).copy_(as_tensor(tasks[i].sum, {width}) / count);
  }
  const double ridge = kRidge * gram.diagonal().mean().item<double>();
  gram.diagonal().add_(ridge);
  const at::Tensor weights =
      at::cholesky_solve(sums, at::linalg_cholesky(gram)).t().contiguous();  // [n, M]
  const double* values = weights.data_ptr<double>();
  return {values, values + weights.numel()};
}

std::shared_ptr<const method::FeatureClassifier> make_classifier(const AnalyticJob& job,
                                                                 comm::Communicator& group) {
  return AnalyticFit(job, group).run();
}

}  // namespace baton::experiment
