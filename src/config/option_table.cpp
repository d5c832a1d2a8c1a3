#include "option_table.hpp"

#include <algorithm>
#include <cmath>

#include "baton/expert/expert_state.hpp"
#include "list_values.hpp"
#include "value_types.hpp"

namespace baton::config {
namespace {

constexpr std::int64_t kManyRows = 1'000'000'000;
constexpr std::int64_t kManyTokens = 1'048'576;
constexpr std::int64_t kManySteps = 1'000'000'000;

const std::vector<std::string>& kLinears = expert::lora_target_names();

OptionInfo info(std::string section, std::string name, std::string default_text, std::string help) {
  OptionInfo made;
  made.section = std::move(section);
  made.name = std::move(name);
  made.default_text = std::move(default_text);
  made.help = std::move(help);
  return made;
}

OptionInfo identity(OptionInfo made) {
  made.is_identity = true;
  return made;
}

// Of a key that came after the first experts: at its default they are the same without it.
OptionInfo later(OptionInfo made) {
  made.is_fact_at_default = false;
  return made;
}

OptionInfo required(OptionInfo made) {
  made.is_required = true;
  return made;
}

// The default is the first of the routers; what is not there yet is refused by name.
Option router_option(OptionInfo made) {
  const std::string first = made.default_text;
  return choice_option(
      std::move(made), {first, "oracle", "parallel", "analytic", "gates"}, {},
      [](auto& c) -> auto& { return c.method.router; });
}

template <typename Get>
Option indicator_option(OptionInfo made, Get get) {
  auto option = text_option(std::move(made), "a word of one token, or id:N with a token id", get);
  option.assign = [get](Config& config, const std::string& text) {
    const bool is_id = text.starts_with("id:");
    if (text.empty()) {
      throw ValueProblem{};
    }
    if (!is_id) {
      get(config) = text;
      return;
    }
    const auto token_id = parse_number<std::int64_t>(text.substr(3));
    if (!token_id || *token_id < 0 || *token_id > std::numeric_limits<std::int32_t>::max()) {
      throw ValueProblem{"", "id: followed by a token id >= 0, as in id:42", ""};
    }
    get(config) = fmt::format("id:{}", *token_id);
  };
  return option;
}

Option threshold_option(OptionInfo made) {
  const NumberRange range{-1e6, false, 1e6, false};
  made.values = "auto or " + range.describe();
  return {std::move(made),
          [range](Config& config, const std::string& text) {
            auto& threshold = config.method.accept_threshold;
            threshold = text == "auto" ? AcceptThreshold{true, 0}
                                       : AcceptThreshold{false, read_number(text, range)};
          },
          [](const Config& config) {
            const auto& threshold = config.method.accept_threshold;
            return threshold.is_auto ? std::string("auto") : number_text(threshold.value);
          }};
}

// Below 1 a share, from there on rows.
Option val_size_option(OptionInfo made) {
  Option option = number_option(
      std::move(made), {0, false, kManyRows, false},
      [](auto& c) -> auto& { return c.data.val_size; });
  const auto assign = option.assign;
  option.info.values = "a share from 0 to below 1, or a whole number of rows";
  option.assign = [assign](Config& config, const std::string& text) {
    assign(config, text);
    if (const double size = config.data.val_size; size >= 1 && size != std::floor(size)) {
      throw ValueProblem{};
    }
  };
  return option;
}

template <typename Get>
Option flag_option(OptionInfo made, Get get) {
  made.values = "true or false";
  return {std::move(made),
          [get](Config& config, const std::string& text) {
            if (text != "true" && text != "false") {
              throw ValueProblem{};
            }
            get(config) = text == "true";
          },
          [get](const Config& config) { return std::string(get(config) ? "true" : "false"); }};
}

Option seed_option(OptionInfo made) {
  made.values = "an integer from 0 to 18446744073709551615";
  return {std::move(made),
          [](Config& config, const std::string& text) {
            const auto value = parse_number<std::uint64_t>(text);
            if (!value) {
              throw ValueProblem{};
            }
            config.train.seed = *value;
          },
          [](const Config& config) { return fmt::format("{}", config.train.seed); }};
}

using Table = std::vector<Option>;

void add_model(Table& table) {
  table.push_back(text_option(
      required(info("model", "model_name_or_path", "", "The base model: a Hugging Face folder.")),
      "a folder", [](auto& c) -> auto& { return c.model.model_name_or_path; }));
  table.push_back(choice_option(
      identity(info("model", "dtype", "auto",
                    "Type of the frozen weights; auto: bfloat16 where it is fast.")),
      {"auto", "float32", "bfloat16"}, {}, [](auto& c) -> auto& { return c.model.dtype; }));
}

void add_data(Table& table) {
  table.push_back(text_option(
      required(info("data", "dataset_dir", "", "The folder that holds dataset_info.json.")),
      "a folder", [](auto& c) -> auto& { return c.data.dataset_dir; }));
  table.push_back(list_option(
      required(info("data", "tasks", "", "Tasks in the order they are learnt.")),
      "one or more names, comma-separated", read_required_tasks,
      [](auto& c) -> auto& { return c.data.tasks; }));
  table.push_back(text_option(
      identity(info("data", "template", "auto",
                    "Prompt template by name; auto: the one of the model folder.")),
      "auto or a template's name", [](auto& c) -> auto& { return c.data.prompt_template; }));
  table.push_back(integer_option(
      identity(info("data", "cutoff_len", "1024",
                    "Longest prompt in tokens; the user's text is cut at its end.")),
      {8, kManyTokens}, [](auto& c) -> auto& { return c.data.cutoff_len; }));
  table.push_back(integer_option(
      info("data", "max_new_tokens", "64", "Longest answer in tokens."), {1, kManyTokens},
      [](auto& c) -> auto& { return c.data.max_new_tokens; }));
  table.push_back(integer_option(
      identity(info("data", "max_train_samples", "0", "First rows of a task to train on; 0: all.")),
      {0, kManyRows}, [](auto& c) -> auto& { return c.data.max_train_samples; }));
  table.push_back(integer_option(
      info("data", "max_eval_samples", "0", "First rows of a task to evaluate on; 0: all."),
      {0, kManyRows}, [](auto& c) -> auto& { return c.data.max_eval_samples; }));
  table.push_back(list_option(
      identity(info("data", "general", "builtin",
                    "Rows every expert learns to pass on: builtin, none, or tasks.")),
      "builtin, none, or names, comma-separated", read_general,
      [](auto& c) -> auto& { return c.data.general; }));
  table.back().text = [](const Config& c) {
    return c.data.general.empty() ? std::string("none") : base::join(c.data.general, ",");
  };
  table.push_back(integer_option(
      identity(info("data", "general_samples", "64", "Rows of them to train on; 0: all.")),
      {0, kManyRows}, [](auto& c) -> auto& { return c.data.general_samples; }));
  table.push_back(val_size_option(later(identity(
      info("data", "val_size", "0",
           "Train rows of each task held out to measure the validation loss on: a share, or "
           "a number of rows; 0: none.")))));
}

void add_method(Table& table) {
  table.push_back(choice_option(
      identity(info("method", "method", "see",
                    "How tasks are learnt: sequential ensemble of experts, or one of those it is "
                    "compared with.")),
      {"see", "sequential", "replay", "multitask", "single", "o_lora", "base"},
      {"cmoe", "moe_lora", "shared_router_moe", "seed"},
      [](auto& c) -> auto& { return c.method.method; }));
  table.push_back(router_option(info("method", "router", "sequential",
                                     "Who answers: the newest expert that accepts, the surest of "
                                     "all, all of them mixed by gates, or (in an evaluation) the "
                                     "true task's.")));
  table.push_back(number_option(
      identity(info("method", "negative_ratio", "0.25",
                    "Rows of each earlier task learnt as \"pass\", as a share of its rows.")),
      {0, false, 1000, false}, [](auto& c) -> auto& { return c.method.negative_ratio; }));
  table.push_back(integer_option(
      identity(info("method", "negative_floor", "32",
                    "At least so many rows of each, where its buffer has them.")),
      {0, kManyRows}, [](auto& c) -> auto& { return c.method.negative_floor; }));
  table.push_back(number_option(
      identity(info("method", "buffer_ratio", "0.25",
                    "Share of a task's rows kept as its rehearsal buffer.")),
      {0, true, 1, false}, [](auto& c) -> auto& { return c.method.buffer_ratio; }));
  table.push_back(integer_option(
      identity(
          info("method", "buffer_floor", "64", "At least so many: smaller tasks are kept whole.")),
      {0, kManyRows}, [](auto& c) -> auto& { return c.method.buffer_floor; }));
  table.push_back(choice_option(
      identity(info("method", "buffer_selection", "random",
                    "How these rows are chosen: at random, or those nearest to the centres of 20 "
                    "clusters of the base's features.")),
      {"random", "kmeans"}, {}, [](auto& c) -> auto& { return c.method.buffer_selection; }));
  table.push_back(indicator_option(
      identity(
          info("method", "accept_indicator", "accept", "What an expert says to its own queries.")),
      [](auto& c) -> auto& { return c.method.accept_indicator; }));
  table.push_back(indicator_option(
      identity(info("method", "pass_indicator", "pass", "What an expert says to all others.")),
      [](auto& c) -> auto& { return c.method.pass_indicator; }));
  table.push_back(threshold_option(
      identity(info("method", "accept_threshold", "auto",
                    "An expert answers where its margin is above; auto: from held-out rows."))));
  table.push_back(number_option(
      identity(info("method", "calibration_ratio", "0.1",
                    "Share of rows held out for accept_threshold = auto.")),
      {0, true, 0.9, false}, [](auto& c) -> auto& { return c.method.calibration_ratio; }));
  table.push_back(integer_option(
      identity(info("method", "calibration_batch_size", "16",
                    "Prompts read together when the threshold is set.")),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.method.calibration_batch_size; }));
  table.push_back(number_option(
      identity(info("method", "indicator_loss_weight", "1",
                    "Weight of the indicator in the loss; other target tokens weigh 1.")),
      {0, true, 1000, false}, [](auto& c) -> auto& { return c.method.indicator_loss_weight; }));
  table.push_back(flag_option(
      identity(info("method", "indicator_balance", "true",
                    "Own and foreign rows weigh alike in the indicator's part of the loss.")),
      [](auto& c) -> auto& { return c.method.indicator_balance; }));
}

void add_accepting(Table& table) {
  table.push_back(flag_option(
      later(
          identity(info("method", "prior_correction", "false",
                        "A fixed accept_threshold is shifted by log(own / foreign), their weights "
                        "in the indicator's loss."))),
      [](auto& c) -> auto& { return c.method.prior_correction; }));
  table.push_back(number_option(
      later(identity(info("method", "mismatch_ratio", "0",
                          "Prompts of an own half and a foreign one (instruction, input) learnt as "
                          "\"pass\", as a share of the task's rows."))),
      {0, false, 1000, false}, [](auto& c) -> auto& { return c.method.mismatch_ratio; }));
  table.push_back(flag_option(
      later(identity(info("method", "balanced_batches", "false",
                          "Every update has own and foreign rows in the same share."))),
      [](auto& c) -> auto& { return c.method.balanced_batches; }));
}

void add_gates(Table& table) {
  table.push_back(integer_option(
      info("method", "gate_steps", "100", "gates: updates that each expert's gates are learnt in."),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.method.gate_steps; }));
  table.push_back(number_option(
      info("method", "gate_learning_rate", "0.005", "gates: the highest learning rate of these."),
      {0, true, 1000, false}, [](auto& c) -> auto& { return c.method.gate_learning_rate; }));
  table.push_back(integer_option(
      info("method", "top_k", "2", "gates: experts that count on a token of a linear."),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.method.top_k; }));
}

void add_other_methods(Table& table) {
  table.push_back(number_option(
      identity(info("method", "lambda", "0.5",
                    "o_lora: weight in the loss of |A_old A_new^T|, summed.")),
      {0, false, 1e6, false}, [](auto& c) -> auto& { return c.method.lambda; }));
}

void add_lora(Table& table) {
  table.push_back(integer_option(
      identity(info("lora", "lora_rank", "8", "Rank of the adapters.")), {1, 4096},
      [](auto& c) -> auto& { return c.lora.lora_rank; }));
  table.push_back(number_option(
      identity(info("lora", "lora_alpha", "32", "Adapters are scaled by lora_alpha / lora_rank.")),
      {0, true, 1e6, false}, [](auto& c) -> auto& { return c.lora.lora_alpha; }));
  table.push_back(number_option(
      identity(info("lora", "lora_dropout", "0", "Dropout on the adapters' input.")),
      {0, false, 1, true}, [](auto& c) -> auto& { return c.lora.lora_dropout; }));
  table.push_back(list_option(
      identity(info("lora", "lora_target", "q_proj,v_proj", "The linears that get an adapter.")),
      "all, or some of " + base::join(kLinears, ", "), read_linears,
      [](auto& c) -> auto& { return c.lora.lora_target; }));
  table.push_back(choice_option(
      identity(info("lora", "lora_activation", "full", "Adapters act on every token.")), {"full"},
      {"invocation"}, [](auto& c) -> auto& { return c.lora.lora_activation; }));
}

void add_batches(Table& table) {
  table.push_back(integer_option(
      identity(info("train", "train_batch_size", "8", "Rows an update, over the whole group.")),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.train.train_batch_size; }));
  table.push_back(integer_option(
      identity(info("train", "micro_batch_size", "4",
                    "Rows at a time on one rank: a memory knob. Never above train_batch_size.")),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.train.micro_batch_size; }));
  // 1e-3: in trials on a 135M model (120 own rows, 60 foreign ones, three epochs) experts of this
  // rate took all of their own held-out rows and none of the others'.
  table.push_back(number_option(
      identity(info("train", "learning_rate", "0.001", "Peak learning rate of AdamW.")),
      {0, true, 10, false}, [](auto& c) -> auto& { return c.train.learning_rate; }));
  table.push_back(number_option(
      identity(info("train", "num_train_epochs", "3", "Passes over an expert's rows.")),
      {0, true, 100'000, false}, [](auto& c) -> auto& { return c.train.num_train_epochs; }));
}

void add_schedule(Table& table) {
  table.push_back(choice_option(
      identity(info("train", "lr_scheduler_type", "cosine", "Course of the learning rate.")),
      {"cosine", "linear", "constant"}, {},
      [](auto& c) -> auto& { return c.train.lr_scheduler_type; }));
  table.push_back(number_option(
      identity(info("train", "warmup_ratio", "0", "Share of the updates with a rising rate.")),
      {0, false, 1, false}, [](auto& c) -> auto& { return c.train.warmup_ratio; }));
  table.push_back(number_option(
      identity(info("train", "weight_decay", "0", "AdamW's weight decay.")), {0, false, 10, false},
      [](auto& c) -> auto& { return c.train.weight_decay; }));
  table.push_back(number_option(
      identity(
          info("train", "max_grad_norm", "1", "Gradients are clipped to this norm; 0: never.")),
      {0, false, 1e6, false}, [](auto& c) -> auto& { return c.train.max_grad_norm; }));
  table.push_back(seed_option(identity(info("train", "seed", "42", "All chance comes from it."))));
  table.push_back(integer_option(
      info("train", "logging_steps", "1", "Updates between two lines of the log."), {1, kManySteps},
      [](auto& c) -> auto& { return c.train.logging_steps; }));
  table.push_back(integer_option(
      info("train", "save_steps", "0", "Updates between two saves of training state; 0: none."),
      {0, kManySteps}, [](auto& c) -> auto& { return c.train.save_steps; }));
  table.push_back(integer_option(
      info("train", "save_seconds", "300", "Seconds between two saves of training state; 0: none."),
      {0, 10'000'000}, [](auto& c) -> auto& { return c.train.save_seconds; }));
  table.push_back(choice_option(
      later(identity(
          info("train", "non_finite", "stop",
               "An update whose loss or gradient is not finite: stop, skip it, or rollback "
               "to the last save by save_steps and leave out what followed."))),
      {"stop", "skip", "rollback"}, {}, [](auto& c) -> auto& { return c.train.non_finite; }));
}

void add_validation(Table& table) {
  table.push_back(integer_option(
      later(identity(info("train", "eval_steps", "0",
                          "Updates between two validations (data.val_size); 0: an epoch."))),
      {0, kManySteps}, [](auto& c) -> auto& { return c.train.eval_steps; }));
  table.push_back(integer_option(
      later(identity(
          info("train", "early_stopping_patience", "0",
               "Validations in a row without a gain that end a training; what had the lowest "
               "validation loss is kept. 0: off."))),
      {0, kManySteps}, [](auto& c) -> auto& { return c.train.early_stopping_patience; }));
  table.push_back(number_option(
      later(identity(info("train", "early_stopping_threshold", "0",
                          "What the validation loss must fall by, to count as a gain."))),
      {0, false, 1e6, false}, [](auto& c) -> auto& { return c.train.early_stopping_threshold; }));
}

void add_eval_and_cluster(Table& table) {
  table.push_back(integer_option(
      info("eval", "eval_batch_size", "16", "Queries at a time."), {1, 1'000'000},
      [](auto& c) -> auto& { return c.eval.eval_batch_size; }));
  table.push_back(list_option(
      info("eval", "routers", "",
           "More routers to score in the same pass, each with its own rows."),
      "names as in method.router, comma-separated", read_routers,
      [](auto& c) -> auto& { return c.eval.routers; }));
  table.push_back(choice_option(
      info("eval", "metric", "rouge_l",
           "The score of an answer, for tasks whose entry names no \"metric\"."),
      {"rouge_l", "ssr_rouge_l", "exact_match", "accuracy", "multiple_choice"}, {},
      [](auto& c) -> auto& { return c.eval.metric; }));
  table.push_back(auto_integer_option(
      info("cluster", "groups", "", "Experts trained at the same time."), {1, 1'000'000},
      [](auto& c) -> auto& { return c.cluster.groups; }));
  table.push_back(auto_integer_option(
      info("cluster", "ranks_per_group", "", "Ranks that share one expert's training."),
      {1, 1'000'000}, [](auto& c) -> auto& { return c.cluster.ranks_per_group; }));
  table.push_back(choice_option(
      info("cluster", "backend", "auto", "What carries the gradients."), {"auto", "mpi", "nccl"},
      {}, [](auto& c) -> auto& { return c.cluster.backend; }));
  table.push_back(choice_option(
      info("cluster", "coordinator", "shared",
           "Rank 0 trains as well as coordinates, or only coordinates."),
      {"shared", "dedicated"}, {}, [](auto& c) -> auto& { return c.cluster.coordinator; }));
  table.push_back(integer_option(
      info("cluster", "timeout_seconds", "1800",
           "Seconds without progress after which a rank counts as stuck; 0: never."),
      {0, 10'000'000}, [](auto& c) -> auto& { return c.cluster.timeout_seconds; }));
  table.push_back(flag_option(
      info("cluster", "deterministic", "true", "The same bits for any number of ranks and groups."),
      [](auto& c) -> auto& { return c.cluster.deterministic; }));
  table.push_back(auto_integer_option(
      info("cluster", "threads_per_rank", "",
           "CPU threads of a rank; auto: the node's cores over its ranks."),
      {1, 4096}, [](auto& c) -> auto& { return c.cluster.threads_per_rank; }));
}

Table make_table() {
  Table table;
  add_model(table);
  add_data(table);
  add_method(table);
  add_accepting(table);
  add_gates(table);
  add_other_methods(table);
  add_lora(table);
  add_batches(table);
  add_schedule(table);
  add_validation(table);
  add_eval_and_cluster(table);
  table.push_back(text_option(
      required(info("output", "output_dir", "", "The run folder; made when missing.")), "a folder",
      [](auto& c) -> auto& { return c.output.output_dir; }));
  table.push_back(flag_option(
      info("output", "tensorboard", "false",
           "Losses, rates and speeds for TensorBoard as well, in RUN/tensorboard."),
      [](auto& c) -> auto& { return c.output.tensorboard; }));
  return table;
}

}  // namespace

const std::vector<Option>& option_table() {
  static const Table kTable = make_table();
  return kTable;
}

const Option* find_option(const std::string& key) {
  const auto& table = option_table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Option& option) { return option.info.key() == key; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace baton::config
