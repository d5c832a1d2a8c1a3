#include "baton/config/config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/narrow.hpp"
#include "baton/base/text.hpp"
#include "config_text.hpp"
#include "option_table.hpp"

namespace baton::config {
namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 20;
const char* const kMicroBatchSize = "train.micro_batch_size";

const char* const kCommentHint =
    "'#' opens a comment only at the start of a line: give the words a line of their own";

bool has_trailing_comment(const std::string& value) {
  return value.find(" #") != std::string::npos || value.find("\t#") != std::string::npos;
}

[[noreturn]] void fail(const std::string& summary, base::ErrorDetails details) {
  throw base::Error(base::ErrorKind::kUsage, summary, std::move(details));
}

Config default_config() {
  Config config;
  for (const auto& option : option_table()) {
    if (!option.info.default_text.empty()) {
      option.assign(config, option.info.default_text);
    }
  }
  return config;
}

void assign_value(Config& config, const Option& option, const GivenValue& given) {
  try {
    option.assign(config, given.text);
  } catch (const ValueProblem& problem) {
    const auto& info = option.info;
    const std::string fix = has_trailing_comment(given.text) ? kCommentHint : problem.fix;
    fail(problem.summary.empty() ? fmt::format("bad value of {}", info.key())
                                 : fmt::format("{}: {}", info.key(), problem.summary),
         {given.origin, problem.expected.empty() ? info.values : problem.expected,
          given.text.empty() ? "nothing" : fmt::format("'{}'", given.text), fix});
  }
}

void assign_values(Config& config, const GivenValues& given) {
  for (const auto& option : option_table()) {
    const auto found = given.find(option.info.key());
    if (found != given.end()) {
      assign_value(config, option, found->second);
    }
  }
  if (!given.contains(kMicroBatchSize)) {
    config.train.micro_batch_size =
        std::min(config.train.micro_batch_size, config.train.train_batch_size);
  }
}

std::string origin_of(const GivenValues& given, const std::string& key) {
  const auto found = given.find(key);
  return found == given.end() ? fmt::format("{} (default)", key) : found->second.origin;
}

void check_required(const GivenValues& given, const std::string& origin, Purpose purpose) {
  std::vector<std::string> missing;
  for (const auto& info : option_list()) {
    const bool needed =
        info.is_required && (purpose == Purpose::kTrain || info.section != "output");
    if (needed && !given.contains(info.key())) {
      missing.push_back(fmt::format("{} in section [{}]", info.name, info.section));
    }
  }
  if (!missing.empty()) {
    fail(missing.size() == 1 ? "a required key is missing" : "required keys are missing",
         {origin, base::join(missing, ", "), "no such line",
          "add it, or give it as --set section.key=value"});
  }
}

void check_validation(const Config& config, const GivenValues& given) {
  for (const auto& [key, value] :
       {std::pair("train.early_stopping_patience", config.train.early_stopping_patience),
        std::pair("train.eval_steps", config.train.eval_steps)}) {
    if (value > 0 && config.data.val_size == 0) {
      fail(fmt::format("{} needs rows to measure the validation loss on", key),
           {origin_of(given, key), "data.val_size above 0", "data.val_size = 0",
            "set data.val_size (0.1: a tenth of each task's train rows)"});
    }
  }
  if (config.train.early_stopping_threshold > 0 && config.train.early_stopping_patience == 0) {
    fail("train.early_stopping_threshold changes nothing without early stopping",
         {origin_of(given, "train.early_stopping_threshold"),
          "train.early_stopping_patience above 0", "train.early_stopping_patience = 0",
          "set train.early_stopping_patience, or leave the key out"});
  }
}

// What no single value shows.
void check_together(const Config& config, const GivenValues& given) {
  const auto& method = config.method;
  if (method.accept_indicator == method.pass_indicator) {
    fail("method.accept_indicator and method.pass_indicator are the same",
         {fmt::format("{}, {}", origin_of(given, "method.accept_indicator"),
                      origin_of(given, "method.pass_indicator")),
          "two different words", fmt::format("'{}' twice", method.accept_indicator), ""});
  }
  if (config.train.micro_batch_size > config.train.train_batch_size) {
    fail("train.micro_batch_size is above train.train_batch_size",
         {origin_of(given, kMicroBatchSize),
          fmt::format("an integer from 1 to {}", config.train.train_batch_size),
          fmt::format("{}", config.train.micro_batch_size),
          "lower it: it says how many of an update's rows a rank holds at a time"});
  }
  if (config.train.non_finite == "rollback" && config.train.save_steps == 0) {
    fail("train.non_finite = rollback needs saves at fixed updates to go back to",
         {origin_of(given, "train.non_finite"), "train.save_steps above 0", "train.save_steps = 0",
          "set train.save_steps, or use train.non_finite = skip"});
  }
  check_validation(config, given);
  for (const auto& name : config.data.general) {
    if (std::find(config.data.tasks.begin(), config.data.tasks.end(), name) !=
        config.data.tasks.end()) {
      fail(fmt::format("'{}' is both a task and a general task", name),
           {fmt::format("{}, {}", origin_of(given, "data.tasks"), origin_of(given, "data.general")),
            "each name in one of data.tasks and data.general", name,
            "its rows cannot be positives and negatives: remove it from one list"});
    }
  }
}

// Who answers, of given experts.
bool is_of_routers(const std::string& key) {
  return key == "method.router" || key == "method.gate_steps" ||
         key == "method.gate_learning_rate" || key == "method.top_k";
}

bool may_change(const std::string& key, Purpose purpose) {
  const bool is_machine = key.starts_with("cluster.");
  switch (purpose) {
    case Purpose::kTrain:
    case Purpose::kPlan:
      return true;
    case Purpose::kEval:
      return is_machine || key.starts_with("eval.") || key == "data.max_new_tokens" ||
             key == "data.max_eval_samples" || is_of_routers(key);
    case Purpose::kAsk:
      return is_machine || key == "eval.eval_batch_size" || key == "data.max_new_tokens" ||
             is_of_routers(key);
    case Purpose::kAskModel:
      return is_machine || key == "eval.eval_batch_size" || key == "model.dtype" ||
             key == "data.template" || key == "data.cutoff_len" || key == "data.max_new_tokens";
  }
  return false;
}

void check_allowed(const GivenValues& given, Purpose purpose) {
  for (const auto& [key, value] : given) {
    if (may_change(key, purpose)) {
      continue;
    }
    std::vector<std::string> allowed;
    for (const auto& name : option_keys()) {
      if (may_change(name, purpose)) {
        allowed.push_back(name);
      }
    }
    const bool has_run = purpose == Purpose::kEval || purpose == Purpose::kAsk;
    fail(has_run ? fmt::format("key '{}' belongs to the run and cannot be changed here", key)
                 : fmt::format("key '{}' has no effect on a model asked alone", key),
         {value.origin, "one of " + base::join(allowed, ", "), key,
          has_run ? "leave it out, or train another run folder with it" : "leave it out"});
  }
}

}  // namespace

namespace {

// A folder's name may hold " #", so only one that is not there is taken for a name with a comment.
void check_folder_comments(const Config& config, const std::string& origin) {
  for (const auto& [key, folder] :
       {std::pair("model.model_name_or_path", config.model.model_name_or_path),
        std::pair("data.dataset_dir", config.data.dataset_dir)}) {
    std::error_code ignored;
    if (has_trailing_comment(folder) && !std::filesystem::exists(folder, ignored)) {
      fail(fmt::format("{} names no folder", key),
           {origin, "a folder", fmt::format("'{}'", folder), kCommentHint});
    }
  }
}

}  // namespace

Config load_config(const std::filesystem::path& file,
                   std::span<const Override> overrides,
                   Purpose purpose) {
  const std::string text = base::read_file(file, base::ErrorKind::kUsage, kMaxConfigBytes);
  Config config = parse_config(text, file.string(), overrides, purpose);
  check_folder_comments(config, file.string());
  return config;
}

Config parse_config(const std::string& text,
                    const std::string& origin,
                    std::span<const Override> overrides,
                    Purpose purpose) {
  const auto given = merge(read_config_text(text, origin), read_overrides(overrides));
  Config config = default_config();
  assign_values(config, given);
  check_required(given, origin, purpose);
  check_together(config, given);
  return config;
}

Config with_overrides(const Config& base, std::span<const Override> overrides, Purpose purpose) {
  const auto given = read_overrides(overrides);
  check_allowed(given, purpose);
  Config config = base;
  for (const auto& [key, value] : given) {
    assign_value(config, *find_option(key), value);
  }
  check_together(config, given);
  return config;
}

void check_overrides(std::span<const Override> overrides, Purpose purpose) {
  check_allowed(read_overrides(overrides), purpose);
}

Config config_for_model(const std::filesystem::path& model_folder,
                        std::span<const Override> overrides) {
  Config config = default_config();
  config.model.model_name_or_path = model_folder.string();
  return with_overrides(config, overrides, Purpose::kAskModel);
}

std::map<std::string, std::string> resolved(const Config& config) {
  std::map<std::string, std::string> values;
  for (const auto& option : option_table()) {
    values[option.info.key()] = option.text(config);
  }
  return values;
}

Config config_from_resolved(const std::map<std::string, std::string>& values,
                            const std::string& origin) {
  GivenValues given;
  for (const auto& [key, text] : values) {
    if (find_option(key) == nullptr) {
      throw base::Error(base::ErrorKind::kModel,
                        fmt::format("unknown key '{}' in a stored config", key),
                        {origin, "keys this version knows", key,
                         "use the version of Baton that wrote the run, or a newer one"});
    }
    if (!text.empty()) {
      given[key] = {text, origin};
    }
  }
  Config config = default_config();
  try {
    assign_values(config, given);
    check_together(config, given);
  } catch (const base::Error& error) {
    throw base::Error(base::ErrorKind::kModel, error.summary(), error.details());
  }
  return config;
}

std::vector<std::string> identity_keys() {
  std::vector<std::string> keys;
  for (const auto& info : option_list()) {
    if (info.is_identity) {
      keys.push_back(info.key());
    }
  }
  return keys;
}

std::map<std::string, std::string> evaluation_settings(const Config& config) {
  std::map<std::string, std::string> settings = resolved(config);
  const std::map<std::string, std::string> defaults = resolved(default_config());
  std::erase_if(settings, [&](const auto& entry) {
    const auto& [key, value] = entry;
    if (is_of_routers(key) && key != "method.router") {
      return value == defaults.at(key);  // what only some routers read: told where it was changed
    }
    return !key.starts_with("eval.") && key != "data.max_new_tokens" &&
           key != "data.max_eval_samples" && key != "method.router";
  });
  return settings;
}

std::map<std::string, std::string> identity_facts(const Config& config) {
  const auto values = resolved(config);
  std::map<std::string, std::string> facts;
  for (const auto& info : option_list()) {
    const std::string& value = values.at(info.key());
    if (info.is_identity && (info.is_fact_at_default || value != info.default_text)) {
      facts[info.key()] = value;
    }
  }
  if (!config.method.accept_threshold.is_auto) {
    facts.erase("method.calibration_ratio");
    facts.erase("method.calibration_batch_size");
  }
  if (config.data.general.empty()) {
    facts.erase("data.general_samples");
  }
  if (config.train.early_stopping_patience == 0) {  // validations only look
    facts.erase("train.eval_steps");
    facts.erase("train.early_stopping_threshold");
  }
  return facts;
}

std::string describe(const Config& config, bool shows_all) {
  std::vector<std::vector<std::string>> rows;
  std::size_t num_defaults = 0;
  for (const auto& option : option_table()) {
    const std::string text = option.text(config);
    if (shows_all || text != option.info.default_text) {
      rows.push_back({option.info.key(), text});
    } else {
      ++num_defaults;
    }
  }
  std::string table = base::format_narrow_table({"key", "value"}, rows);
  if (num_defaults > 0) {
    table +=
        fmt::format("{} more keys have their defaults (--all-keys shows them)\n", num_defaults);
  }
  return table;
}

}  // namespace baton::config
