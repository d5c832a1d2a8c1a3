#include "baton/experiment/expert_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "baton/base/error.hpp"
#include "baton/data/builtin_general.hpp"
#include "baton/data/dataset.hpp"
#include "baton/method/see_rows.hpp"

namespace baton::experiment {

namespace {

constexpr std::int64_t kLeastCutoff = 8;  // the key's lower bound
// General rows beside those that are trained on, for the thresholds alone.
constexpr std::int64_t kSpareGeneralRows = 32;

}  // namespace

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
    std::vector<data::Example> task = dataset.read_train(name, 0);
    rows.insert(rows.end(), std::make_move_iterator(task.begin()),
                std::make_move_iterator(task.end()));
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

data::RowEncoder make_row_encoder(const config::Config& config,
                                  const Workspace& workspace,
                                  const weights::DecoderConfig& sizes) {
  const std::int64_t indicator = 1;
  const std::int64_t longest = config.data.cutoff_len + indicator + config.data.max_new_tokens;
  if (longest > sizes.max_position_embeddings) {
    const std::int64_t room =
        sizes.max_position_embeddings - indicator - config.data.max_new_tokens;
    throw base::Error(
        base::ErrorKind::kUsage, "prompts and answers may become longer than the model can read",
        {.where = "data.cutoff_len, data.max_new_tokens",
         .expected =
             fmt::format("together at most {} tokens: {} positions "
                         "(max_position_embeddings), one of them for the indicator",
                         sizes.max_position_embeddings - indicator, sizes.max_position_embeddings),
         .found = fmt::format("{} of a prompt and {} of an answer", config.data.cutoff_len,
                              config.data.max_new_tokens),
         .fix = room < kLeastCutoff
                    ? "lower data.max_new_tokens, then data.cutoff_len"
                    : fmt::format("set data.cutoff_len to {} or less, or lower data.max_new_tokens",
                                  room)});
  }
  return {*workspace.tokenizer, *workspace.prompt_template, workspace.indicators,
          config.data.cutoff_len, sizes.max_position_embeddings};
}

RowSums& RowSums::operator+=(const RowSums& other) {
  num_rows += other.num_rows;
  num_tokens += other.num_tokens;
  longest_row = std::max(longest_row, other.longest_row);
  longest_target = std::max(longest_target, other.longest_target);
  text_bytes += other.text_bytes;
  return *this;
}

RowSums RunFacts::sums_of(std::size_t index) const {
  RowSums sums = general_sums;
  sums += tasks[index].own;
  for (std::size_t earlier = 0; earlier < index; ++earlier) {
    sums += tasks[earlier].negatives;
  }
  return sums;
}

namespace {

void add_warnings(const config::Config& config,
                  const std::string& task,
                  const data::EncodingCounts& counts,
                  std::vector<std::string>& warnings) {
  const std::int64_t cutoff_len = config.data.cutoff_len;
  if (counts.num_rows_cut > 0) {
    warnings.push_back(
        fmt::format("{}: the user text of {} rows was cut to data.cutoff_len = {} ({} tokens in "
                    "all)",
                    task, counts.num_rows_cut, cutoff_len, counts.num_tokens_cut));
  }
  if (counts.num_rows_over > 0) {
    warnings.push_back(
        fmt::format("{}: the prompts of {} rows are longer than data.cutoff_len = {} without any "
                    "user text; kept whole",
                    task, counts.num_rows_over, cutoff_len));
  }
  if (counts.num_rows_left_out > 0) {
    warnings.push_back(fmt::format(
        "{}: {} rows are left out, because their answer is longer than data.cutoff_len = {} or "
        "does not fit beside its prompt into the model's positions (the first: {})",
        task, counts.num_rows_left_out, cutoff_len, counts.first_left_out));
  }
  if (counts.num_answers_with_indicator > 0) {
    warnings.push_back(
        fmt::format("{}: {} answers contain an indicator token, which is never generated inside an "
                    "answer; consider other indicators",
                    task, counts.num_answers_with_indicator));
  }
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

}  // namespace

PreparedExpert prepare_expert(const config::Config& config,
                              const data::RowEncoder& encoder,
                              const ExpertRows& rows,
                              const std::vector<data::Example>& general_rows) {
  const method::Reconstruction set = method::reconstruct(
      rows.task, rows.own, rows.earlier, general_rows, reconstruction_options(config));
  PreparedExpert prepared;
  prepared.task_index = rows.task_index;
  prepared.cross_fits = set.cross_fits;
  prepared.warnings = set.warnings;
  data::EncodingCounts counts;
  prepared.training = encoder.encode(set.training, counts);
  prepared.held_out = encoder.encode(set.held_out, counts);
  for (const data::TrainingRow& row : prepared.training) {
    ++(row.role == data::RowRole::kPositive ? prepared.num_positive : prepared.num_negative);
  }
  if (prepared.num_positive == 0) {
    throw base::Error(
        base::ErrorKind::kData, "no row of a task is short enough to be learnt",
        {.where = "task " + rows.task,
         .expected = fmt::format("answers of at most data.cutoff_len = {} tokens, indicator and "
                                 "end included, that fit beside their prompts into the model",
                                 config.data.cutoff_len),
         .found = fmt::format("{} longer ones (the first: {})", counts.num_rows_left_out,
                              counts.first_left_out),
         .fix = "check the answers of this task, or raise data.cutoff_len"});
  }
  if (config.method.indicator_balance) {
    balance_indicators(prepared);
  }
  add_warnings(config, rows.task, counts, prepared.warnings);
  return prepared;
}

}  // namespace baton::experiment
