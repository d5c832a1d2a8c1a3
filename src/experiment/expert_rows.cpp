#include "baton/experiment/expert_rows.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/data/builtin_general.hpp"
#include "baton/data/dataset.hpp"
#include "baton/method/see_rows.hpp"

namespace baton::experiment {

// General rows beside those that are trained on, for the thresholds alone.
constexpr std::int64_t kSpareGeneralRows = 32;

std::vector<data::Example> read_general_rows(const config::Config& config) {
  std::vector<data::Example> rows;
  if (config.data.general.empty()) {
    return rows;
  }
  const data::Dataset dataset(config.data.dataset_dir);
  for (const std::string& name : config.data.general) {
    if (name == "builtin") {
      const std::vector<data::Example> builtin = data::builtin_general_rows();
      rows.insert(rows.end(), builtin.begin(), builtin.end());
      continue;
    }
    data::TaskData task = dataset.read_task(name, {.max_train_samples = 0, .max_eval_samples = 1});
    rows.insert(rows.end(), std::make_move_iterator(task.train.begin()),
                std::make_move_iterator(task.train.end()));
  }
  const std::int64_t wanted = config.data.general_samples;
  const std::int64_t spare = config.method.accept_threshold.is_auto ? kSpareGeneralRows : 0;
  return wanted > 0 ? method::choose_general(rows, wanted + spare, config.train.seed) : rows;
}

method::BufferSize buffer_size(const config::Config& config) {
  return {config.method.buffer_ratio, config.method.buffer_floor};
}

method::ReconstructionOptions reconstruction_options(const config::Config& config) {
  method::ReconstructionOptions options;
  options.negative_ratio = config.method.negative_ratio;
  options.negative_floor = config.method.negative_floor;
  options.general_samples = config.data.general_samples;
  options.calibration_ratio =
      config.method.accept_threshold.is_auto ? config.method.calibration_ratio : 0.0;
  options.run_seed = config.train.seed;
  return options;
}

std::int64_t PreparedExpert::num_tokens() const {
  std::int64_t count = 0;
  for (const data::TrainingRow& row : training) {
    count += static_cast<std::int64_t>(row.tokens.size());
  }
  return count;
}

// In the indicators' part of the loss the own rows together weigh as much as the foreign ones.
void balance_indicators(PreparedExpert& prepared) {
  if (prepared.num_positive == 0 || prepared.num_negative == 0) {
    return;
  }
  const auto num_own = static_cast<double>(prepared.num_positive);
  const auto num_foreign = static_cast<double>(prepared.num_negative);
  const double half = (num_own + num_foreign) / 2;
  for (data::TrainingRow& row : prepared.training) {
    row.indicator_weight =
        row.role == data::RowRole::kPositive ? half / num_own : half / num_foreign;
  }
}

PreparedExpert prepare_expert(const config::Config& config,
                              const data::RowEncoder& encoder,
                              const std::vector<TaskRows>& tasks,
                              std::size_t index,
                              const std::vector<data::Example>& general_rows) {
  BATON_ASSERT(tasks[index].train.has_value(), tasks[index].name);
  std::vector<data::RehearsalBuffer> earlier;
  for (std::size_t i = 0; i < index; ++i) {
    earlier.push_back(tasks[i].buffer);
  }
  const method::Reconstruction set =
      method::reconstruct(tasks[index].name, *tasks[index].train, earlier, general_rows,
                          reconstruction_options(config));

  PreparedExpert prepared;
  prepared.task_index = index;
  prepared.num_positive = set.num_positive;
  prepared.num_negative = set.num_negative;
  prepared.warnings = set.warnings;
  data::EncodingCounts counts;
  prepared.training = encoder.encode(set.training, counts);
  prepared.held_out = encoder.encode(set.held_out, counts);
  prepared.cross_fits = set.cross_fits;
  if (config.method.indicator_balance) {
    balance_indicators(prepared);
  }
  const std::string& name = tasks[index].name;
  if (counts.num_rows_cut > 0) {
    prepared.warnings.push_back(fmt::format(
        "{}: the user text of {} rows was cut to data.cutoff_len = {} ({} tokens in all)", name,
        counts.num_rows_cut, config.data.cutoff_len, counts.num_tokens_cut));
  }
  if (counts.num_rows_over > 0) {
    prepared.warnings.push_back(fmt::format(
        "{}: {} rows are longer than data.cutoff_len = {} without any user text; kept whole", name,
        counts.num_rows_over, config.data.cutoff_len));
  }
  if (counts.num_answers_with_indicator > 0) {
    prepared.warnings.push_back(
        fmt::format("{}: {} answers contain an indicator token, which is never generated inside an "
                    "answer; consider "
                    "other indicators",
                    name, counts.num_answers_with_indicator));
  }
  return prepared;
}

}  // namespace baton::experiment
