#include "baton/run/inspect.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "baton/checkpoint/training_state_file.hpp"
#include "baton/run/base_of_run.hpp"
#include "baton/run/run_record.hpp"
#include "baton/run/run_status.hpp"

namespace baton::run {

namespace {

using base::OrderedJson;

OrderedJson expert_facts(const std::filesystem::path& path, const expert::Expected& expected) {
  const expert::ExpertState whole = checkpoint::load_expert(path, expected);
  const checkpoint::H5File file = checkpoint::H5File::open(path);
  std::size_t num_values = 0;
  for (const expert::NamedArray& array : whole.arrays) {
    num_values += array.values.size();
  }
  OrderedJson json{{"kind", checkpoint::kExpertKind},
                   {"condition", "ok"},
                   {"task", whole.task},
                   {"format_version", file.integer("format_version")},
                   {"fingerprint", whole.identity.fingerprint()},
                   {"base_fingerprint", whole.base_fingerprint},
                   {"content_sha256", file.text("content_sha256")},
                   {"lora_rank", whole.lora_rank},
                   {"lora_alpha", whole.lora_alpha},
                   {"lora_dropout", whole.lora_dropout},
                   {"lora_target", whole.lora_target},
                   {"lora_activation", whole.lora_activation},
                   {"invocation_ids", whole.invocation_ids},
                   {"accept_token_id", whole.accept_token_id},
                   {"pass_token_id", whole.pass_token_id},
                   {"accept_threshold", whole.accept_threshold},
                   {"num_roc_points", whole.roc.size()},
                   {"template", whole.prompt_template},
                   {"seed", whole.seed},
                   {"steps", whole.steps},
                   {"num_positive", whole.num_positive},
                   {"num_negative", whole.num_negative},
                   {"num_arrays", whole.arrays.size()},
                   {"num_values", num_values}};
  json["identity"] = whole.identity.facts();
  return json;
}

OrderedJson buffer_facts(const std::filesystem::path& path, const std::string& task) {
  const data::RehearsalBuffer buffer = checkpoint::load_buffer(path, task);
  return {{"kind", checkpoint::kBufferKind},
          {"condition", "ok"},
          {"task", buffer.task},
          {"num_rows", buffer.rows.size()},
          {"num_task_rows", buffer.num_task_rows},
          {"ratio", buffer.ratio},
          {"seed", buffer.seed},
          {"selection", buffer.selection},
          {"fingerprint", buffer.fingerprint()}};
}

OrderedJson state_facts(const std::filesystem::path& path) {
  const expert::TrainingState state = checkpoint::read_training_state(path);
  OrderedJson json{{"kind", checkpoint::kTrainingStateKind},
                   {"condition", "ok"},
                   {"task", state.task},
                   {"fingerprint", state.identity.fingerprint()},
                   {"step", state.step},
                   {"num_updates", state.num_updates},
                   {"num_parameters", state.parameters.size()},
                   {"skipped_updates", state.skipped_updates},
                   {"seed", state.seed},
                   {"threads_per_rank", state.threads_per_rank},
                   {"first_loss", state.first_loss},
                   {"last_loss", state.last_loss},
                   {"seconds", state.seconds},
                   {"num_tokens", state.num_tokens}};
  json["identity"] = state.identity.facts();
  return json;
}

OrderedJson damaged(const char* kind, const base::Error& error) {
  return {{"kind", kind}, {"condition", "damaged"}, {"error", error.what()}};
}

OrderedJson h5_facts(const std::filesystem::path& path, const expert::Expected& expected = {}) {
  const char* kind = "unknown";
  try {
    const std::string found = checkpoint::H5File::open(path).text("kind");
    if (found == checkpoint::kTrainingStateKind) {
      kind = checkpoint::kTrainingStateKind;
      return state_facts(path);
    }
    const bool is_buffer = found == checkpoint::kBufferKind;
    kind = is_buffer ? checkpoint::kBufferKind : checkpoint::kExpertKind;
    return is_buffer ? buffer_facts(path, expected.task) : expert_facts(path, expected);
  } catch (const base::Error& error) {
    return damaged(kind, error);
  }
}

OrderedJson results_facts(const std::filesystem::path& path) {
  try {
    base::Json content = base::read_json_file(path, base::ErrorKind::kModel);
    if (!content.is_object() || !content.contains("matrix") || !content.contains("tasks")) {
      throw base::Error(base::ErrorKind::kModel, "not a results file",
                        {.where = path.string(),
                         .expected = "an object with tasks and matrix",
                         .found = content.type_name(),
                         .fix = "name a run folder, an HDF5 file or an eval/results.json"});
    }
    OrderedJson json{{"kind", "results"}, {"condition", "ok"}};
    json["results"] = content;
    return json;
  } catch (const base::Error& error) {
    return damaged("results", error);
  }
}

// One file of a run: how it stands on disk, and what is in it when it can be read.
OrderedJson file_facts(const RunFolder& run,
                       const std::string& relative,
                       const expert::Expected& expected) {
  const FileCondition condition = run.condition_of(relative);
  OrderedJson json{{"file", relative}, {"condition", condition_name(condition)}};
  if (condition == FileCondition::kDamaged) {
    json["error"] = run.path_of(relative).string() + ": its SHA-256 is not the one in run.json";
  }
  if (condition == FileCondition::kMissing) {
    json["error"] = run.path_of(relative).string() + ": stands in run.json, but not on disk";
  }
  if (condition == FileCondition::kOk || condition == FileCondition::kUnrecorded) {
    OrderedJson content = h5_facts(run.path_of(relative), expected);
    if (content["condition"] != "ok") {
      json["condition"] = content["condition"];
      json["error"] = content["error"];
    } else {
      content.erase("condition");
      json["content"] = std::move(content);
    }
  }
  return json;
}

// Training state in flight of every task that has some.
OrderedJson training_facts(const RunFolder& run) {
  OrderedJson list = OrderedJson::array();
  for (const std::string& task : run.record().tasks) {
    if (const auto newest =
            checkpoint::peek_newest_generation(run.path_of(run.checkpoint_folder(task)))) {
      list.push_back({{"task", task},
                      {"step", newest->step},
                      {"num_updates", newest->num_updates},
                      {"folder", std::filesystem::relative(newest->path, run.root()).string()}});
    }
  }
  return list;
}

bool is_bad(const OrderedJson& file) {
  return file["condition"] == "damaged" || file["condition"] == "missing";
}

OrderedJson run_facts(const std::filesystem::path& root) {
  OrderedJson json{{"kind", "run"}, {"condition", "ok"}, {"path", root.string()}};
  try {
    const RunFolder run = RunFolder::load(root);
    json["config"] = run.record().config;
    json["tasks"] = run.record().tasks;
    json["experts"] = OrderedJson::array();
    json["buffers"] = OrderedJson::array();
    json["other_files"] = OrderedJson::array();
    std::vector<std::string> shown;
    const std::optional<expert::BaseSizes> base = base_sizes_of(run.record());
    json["compared_with_base"] = base.has_value();
    for (const std::string& task : run.record().tasks) {
      const expert::Expected expected{task, base};
      json["experts"].push_back(file_facts(run, run.expert_file(task), expected));
      json["buffers"].push_back(file_facts(run, run.buffer_file(task), expected));
      shown.insert(shown.end(), {run.expert_file(task), run.buffer_file(task)});
    }
    for (const auto& [path, file] : run.record().files) {
      if (std::find(shown.begin(), shown.end(), path) == shown.end()) {
        json["other_files"].push_back(
            {{"file", path}, {"condition", condition_name(run.condition_of(path))}});
      }
    }
    json["in_training"] = training_facts(run);
    json["num_replaced"] = run.record().replaced.size();
    json["warnings"] = run.record().warnings;
    if (const auto status = read_status(root)) {
      json["status"] = {
          {"state", status->state}, {"command", status->command}, {"exit_code", status->exit_code},
          {"kind", status->kind},   {"error", status->error},     {"rank", status->rank},
          {"host", status->host},   {"started", status->started}, {"updated", status->updated}};
    }
    for (const char* list : {"experts", "buffers", "other_files"}) {
      for (const OrderedJson& file : json[list]) {
        json["condition"] = is_bad(file) ? "damaged" : json["condition"].get<std::string>();
      }
    }
  } catch (const base::Error& error) {
    json["condition"] = "damaged";
    json["error"] = error.what();
  }
  return json;
}

}  // namespace

std::vector<std::string> errors_in(const OrderedJson& facts) {
  std::vector<std::string> errors;
  const auto take = [&errors](const OrderedJson& part) {
    if (part.contains("error")) {
      errors.push_back(part["error"].get<std::string>());
    }
  };
  take(facts);
  for (const char* list : {"experts", "buffers"}) {
    for (const OrderedJson& file : facts.value(list, OrderedJson::array())) {
      take(file);
    }
  }
  return errors;
}

OrderedJson inspect_path(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw base::Error(
        base::ErrorKind::kUsage, "nothing to inspect",
        {.where = path.string(),
         .expected = "a run folder, an expert or buffer file (.h5), or an eval/results.json",
         .found = "no such file or folder",
         .fix = "check the path"});
  }
  if (std::filesystem::is_directory(path)) {
    if (std::filesystem::exists(path / checkpoint::kStateFile, ignored)) {
      return h5_facts(path / checkpoint::kStateFile);  // one generation of training state
    }
    if (!RunFolder::exists(path)) {
      RunFolder::load(path);  // says in words what is missing
    }
    return run_facts(path);
  }
  return path.extension() == ".json" ? results_facts(path) : h5_facts(path);
}

}  // namespace baton::run
