#pragma once
// Everything a run can be told, as typed values: one struct per section of a config file,
// aggregated in Config. A config file is an INI file ("[section]", "key = value", '#' at the start
// of a line opens a comment, lists are comma-separated); the same keys can be given on the command
// line. Used by the commands at the edge; components get values, never this file. Defaults stand in
// the option table (options.hpp), which also makes the help text. Paths are kept as typed: relative
// to the working directory, no variables expanded.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace baton::config {

struct ModelConfig {
  std::string model_name_or_path;  // a Hugging Face folder; required
  std::string dtype;               // "auto" | "float32" | "bfloat16"
};

struct DataConfig {
  std::string dataset_dir;             // folder with dataset_info.json; required
  std::vector<std::string> tasks;      // in the order of learning; required, no duplicates
  std::string prompt_template;         // key "template": "auto" or a template's name
  std::int64_t cutoff_len = 0;         // tokens of a prompt, and of a target
  std::int64_t max_new_tokens = 0;     // tokens of an answer
  std::int64_t max_train_samples = 0;  // rows a task, from the start of its file; 0 = all
  std::int64_t max_eval_samples = 0;   // rows a task, from the start of its file; 0 = all
  double val_size = 0;  // train rows a task that only the loss is watched on: a share below 1, else
                        // a number; 0 = none
  std::vector<std::string>
      general;  // tasks whose rows are negatives of every expert, or "builtin";
                // may be empty ("none")
  std::int64_t general_samples = 0;  // rows of them that every expert trains on; 0 = all
};

/// When an expert answers: margin > value, or a threshold of its own found at the end of its
/// training.
struct AcceptThreshold {
  bool is_auto = false;
  double value = 0;  // logits; only without is_auto
};

struct MethodConfig {
  std::string method;         // a name that method::make_method knows
  std::string router;         // who answers a query: a name that method::make_router knows
  double negative_ratio = 0;  // rows of every earlier task, as a share of that task's rows; >= 0
  std::int64_t negative_floor = 0;  // at least so many rows of it, as far as its buffer has them
  double buffer_ratio = 0;          // share of a task's rows kept as its rehearsal buffer; (0, 1]
  std::int64_t buffer_floor = 0;    // at least so many rows, as far as the task has them
  std::string buffer_selection;     // "random" | "kmeans"
  std::string accept_indicator;     // a word of one token, or "id:N"
  std::string pass_indicator;       // the same; another one
  AcceptThreshold accept_threshold;
  double calibration_ratio = 0;             // share of rows held out for accept_threshold = auto
  std::int64_t calibration_batch_size = 0;  // prompts read together for their margins
  double indicator_loss_weight = 0;         // weight of the indicator among the target tokens; > 0
  double lambda = 0;                        // weight of o_lora's orthogonality; >= 0
  std::int64_t gate_steps = 0;              // updates that an expert's gates are learnt in
  double gate_learning_rate = 0;            // of these; > 0
  std::int64_t top_k = 0;                   // experts that count on a token of a linear
  bool indicator_balance = true;  // own and foreign rows weigh alike in the indicators' loss
  bool prior_correction = false;  // a fixed threshold is shifted by log(own / foreign)
  double mismatch_ratio = 0;      // rows of an own half and a foreign one, as a share of own rows
  bool balanced_batches = false;  // each update has own and foreign rows in the same share
};

struct LoraConfig {
  std::int64_t lora_rank = 0;
  double lora_alpha = 0;
  double lora_dropout = 0;               // [0, 1)
  std::vector<std::string> lora_target;  // out of the seven linears, in the order of a layer
  std::string lora_activation;           // "full"
};

struct TrainConfig {
  std::int64_t train_batch_size = 0;  // rows an update over the whole group
  std::int64_t micro_batch_size = 0;  // rows at a time on one rank; <= train_batch_size
  double learning_rate = 0;
  double num_train_epochs = 0;    // may be a fraction
  std::string lr_scheduler_type;  // "cosine" | "linear" | "constant"
  double warmup_ratio = 0;        // share of the updates
  double weight_decay = 0;
  double max_grad_norm = 0;  // 0 = no clipping
  std::uint64_t seed = 0;
  std::int64_t logging_steps = 0;            // updates between two log lines
  std::int64_t eval_steps = 0;               // updates between two validations; 0 = an epoch
  std::int64_t early_stopping_patience = 0;  // validations without a gain that end it; 0 = off
  double early_stopping_threshold = 0;       // what a loss must be lower by, to be a gain; >= 0
  std::int64_t save_steps = 0;    // updates between two saves of training state; 0 = none
  std::int64_t save_seconds = 0;  // seconds between two saves; 0 = none
  std::string non_finite;         // "stop" | "skip" | "rollback"
};

struct EvalConfig {
  std::int64_t eval_batch_size = 0;  // queries at a time
  std::string metric;                // a name of metrics::metric_names()
  std::vector<std::string> routers;  // more of them, scored in the same pass; may be empty
};

struct ClusterConfig {
  std::optional<std::int64_t> groups;           // nothing = auto
  std::optional<std::int64_t> ranks_per_group;  // nothing = auto
  std::string backend;                          // "auto" | "mpi" | "nccl"
  std::string coordinator;                      // "shared" | "dedicated"
  std::int64_t timeout_seconds = 0;             // without progress; 0 = wait for ever
  bool deterministic = true;
  std::optional<std::int64_t> threads_per_rank;  // nothing = auto: the node's cores over its ranks
};

struct OutputConfig {
  std::string output_dir;    // the run folder; required for training
  bool tensorboard = false;  // event files beside the logs
};

struct Config {
  ModelConfig model;
  DataConfig data;
  MethodConfig method;
  LoraConfig lora;
  TrainConfig train;
  EvalConfig eval;
  ClusterConfig cluster;
  OutputConfig output;
};

/// One key given on the command line.
struct Override {
  std::string key;  // "section.key"
  std::string value;
  std::string origin;  // as typed, for errors: "--set train.seed=1"
};

/// Who asks, which decides the keys that may be given and those that must be there.
enum class Purpose {
  kTrain,    // every key; model, data, tasks and output_dir required
  kPlan,     // as kTrain, but output_dir may be missing
  kEval,     // keys of an evaluation on top of a stored run
  kAsk,      // keys of a question to a stored run
  kAskModel  // keys of a question to a base model alone; only the model is required
};

/// Reads a config file and puts the overrides on top. Everything wrong is one kUsage error that
/// names file and line (or the argument), the key, what was expected and the nearest name.
Config load_config(const std::filesystem::path& file,
                   std::span<const Override> overrides,
                   Purpose purpose);

/// The same from a text; `origin` is what errors call it.
Config parse_config(const std::string& text,
                    const std::string& origin,
                    std::span<const Override> overrides,
                    Purpose purpose);

/// `base` with the overrides on top; keys that belong to the run are refused for kEval and kAsk.
Config with_overrides(const Config& base, std::span<const Override> overrides, Purpose purpose);

/// Checks the names of the overrides alone: they exist, none twice, all allowed for this purpose.
void check_overrides(std::span<const Override> overrides, Purpose purpose);

/// Defaults and overrides for asking the base model in `model_folder` alone.
Config config_for_model(const std::filesystem::path& model_folder,
                        std::span<const Override> overrides);

/// Every key -> canonical text (equal values give equal text): for the table at start and for
/// run.json.
std::map<std::string, std::string> resolved(const Config& config);

/// The inverse. A key that is missing gets its default (a run of an older version); an unknown key
/// or a bad value is a kModel error naming `origin`.
Config config_from_resolved(const std::map<std::string, std::string>& values,
                            const std::string& origin);

/// The keys that change an expert's result, for its fingerprint. Outside: names of folders, the
/// list of tasks (rows and buffers used are facts of their own), logging, saving, evaluation, the
/// cluster.
std::vector<std::string> identity_keys();

/// resolved() restricted to identity_keys(), without those that have no effect here
/// (calibration_ratio with a fixed threshold, general_samples without general tasks).
std::map<std::string, std::string> identity_facts(const Config& config);

/// The keys that change an evaluation of given experts, with their values.
std::map<std::string, std::string> evaluation_settings(const Config& config);

/// What is said of the config at the start of a run, in the order of the option table: the keys
/// that differ from the defaults, or all of them.
std::string describe(const Config& config, bool shows_all);

}  // namespace baton::config
