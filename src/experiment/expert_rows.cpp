#include "baton/experiment/expert_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "baton/base/error.hpp"
#include "baton/data/builtin_general.hpp"
#include "baton/data/dataset.hpp"

namespace baton::experiment {

namespace {

constexpr std::int64_t kLeastCutoff = 8;  // the key's lower bound

}  // namespace

std::vector<data::Example> read_general_rows(const config::Config& config,
                                             const method::Method& method) {
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
  return method.choose_general(rows);
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
  std::vector<tokenizer::TokenId> reserved;
  if (workspace.indicators) {
    reserved = {static_cast<tokenizer::TokenId>(workspace.indicators->accept),
                static_cast<tokenizer::TokenId>(workspace.indicators->pass)};
  }
  return {*workspace.tokenizer, *workspace.prompt_template, config.data.cutoff_len,
          sizes.max_position_embeddings, std::move(reserved)};
}

RowSums& RowSums::operator+=(const RowSums& other) {
  num_rows += other.num_rows;
  num_tokens += other.num_tokens;
  longest_row = std::max(longest_row, other.longest_row);
  longest_target = std::max(longest_target, other.longest_target);
  text_bytes += other.text_bytes;
  return *this;
}

RowSums RunFacts::sums_of(const method::LearnerPlan& learner) const {
  RowSums sums = learner.takes_general ? general_sums : RowSums{};
  for (const std::size_t task : learner.own_tasks) {
    sums += tasks[task].own;
  }
  for (const std::size_t task : learner.buffers) {
    sums += tasks[task].rehearsed;
  }
  return sums;
}

double RunFacts::cost_factor_of(const method::LearnerPlan& learner,
                                const method::Method& method) const {
  std::int64_t num_rows = 0;
  for (const std::size_t task : learner.own_tasks) {
    num_rows += tasks[task].num_rows;
  }
  return method.cost_factor(static_cast<std::size_t>(num_rows));
}

namespace {

void add_warnings(std::int64_t cutoff_len,
                  const std::string& task,
                  const data::EncodingCounts& counts,
                  std::vector<std::string>& warnings) {
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
  if (counts.num_answers_with_reserved > 0) {
    warnings.push_back(
        fmt::format("{}: {} answers contain an indicator token, which is never generated inside an "
                    "answer; consider other indicators",
                    task, counts.num_answers_with_reserved));
  }
}

[[noreturn]] void refuse_empty(const std::string& summary,
                               const RowMaking& making,
                               const std::string& task,
                               const data::EncodingCounts& counts) {
  throw base::Error(
      base::ErrorKind::kData, summary,
      {.where = "task " + task,
       .expected = fmt::format("answers of at most data.cutoff_len = {} tokens, indicator and "
                               "end included, that fit beside their prompts into the model",
                               making.cutoff_len),
       .found = fmt::format("{} longer ones (the first: {})", counts.num_rows_left_out,
                            counts.first_left_out),
       .fix = "check the answers of this task, or raise data.cutoff_len"});
}

// A learner's own rows in two parts: to learn from, and to validate on.
struct OwnParts {
  std::vector<data::ValidationSplit> splits;  // what `training` looks at
  std::vector<method::TaskRows> training;
  std::vector<data::SelectedRow> validation;
};

OwnParts parts_of(const RowMaking& making, const std::vector<OwnRows>& own) {
  OwnParts parts;
  parts.splits.reserve(own.size());
  for (const OwnRows& task : own) {
    if (making.validation.val_size == 0) {
      parts.training.push_back({task.task, task.rows});
      continue;
    }
    const data::ValidationSplit& split =
        parts.splits.emplace_back(data::split_validation(task.task, task.rows, making.validation));
    parts.training.push_back({task.task, split.training});
    for (const data::Example& row : split.validation) {
      parts.validation.push_back({.example = row, .task = task.task});
    }
  }
  making.method.give_targets(parts.validation, making.indicators);
  return parts;
}

}  // namespace

data::ValidationSize validation_size_of(const config::Config& config) {
  return {.val_size = config.data.val_size, .run_seed = config.train.seed};
}

PreparedExpert prepare_expert(const RowMaking& making,
                              const ExpertRows& rows,
                              const std::vector<data::Example>& general_rows) {
  OwnParts own = parts_of(making, rows.own);
  method::LearnerRows texts{.name = rows.task,
                            .indicators = making.indicators,
                            .own = std::move(own.training),
                            .buffers = rows.earlier};
  if (rows.plan.takes_general) {
    texts.general = general_rows;
  }
  const method::TrainingSet set = making.method.training_set(texts);
  PreparedExpert prepared;
  prepared.plan = rows.plan;
  prepared.cross_fits = set.cross_fits;
  prepared.warnings = set.warnings;
  data::EncodingCounts counts;
  prepared.training = making.encoder.encode(set.training, counts);
  prepared.held_out = making.encoder.encode(set.held_out, counts);
  prepared.validation = making.encoder.encode(own.validation, counts);
  for (const data::TrainingRow& row : prepared.training) {
    ++(row.role == data::RowRole::kPositive ? prepared.num_positive : prepared.num_negative);
  }
  if (prepared.num_positive == 0) {
    refuse_empty("no row of a task is short enough to be learnt", making, rows.task, counts);
  }
  if (prepared.validation.empty() && !own.validation.empty()) {
    refuse_empty("no validation row of a task is short enough", making, rows.task, counts);
  }
  making.method.weigh_openings(prepared.training);
  add_warnings(making.cutoff_len, rows.task, counts, prepared.warnings);
  return prepared;
}

}  // namespace baton::experiment
