// Trains an adapter step by step as it is told over stdin, so that a peer can be measured beside it
// on the same rows and from the same start. Protocol: README.md in this folder.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/model/adapter.hpp"
#include "baton/model/decoder.hpp"
#include "baton/train/trainer.hpp"
#include "baton/weights/safetensors.hpp"

namespace {

using namespace baton;
using base::Json;

struct Arguments {
  std::string rows;
  std::string base;
  std::string initial;
  std::string dtype;
  int threads = 2;
  std::int64_t micro_batch_size = 0;  // 0: an update is one slot
};

// The resident memory this process has needed at most, from the kernel's own account.
std::int64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) {
      return std::stoll(line.substr(6)) * 1024;
    }
  }
  return 0;
}

void say(const Json& answer) {
  std::cout << answer.dump() << std::endl;
}

std::vector<data::TrainingRow> read_rows(const Json& document) {
  std::vector<data::TrainingRow> rows;
  for (const Json& entry : document.at("rows")) {
    data::TrainingRow row;
    row.tokens = entry.at("ids").get<std::vector<tokenizer::TokenId>>();
    row.prompt_length = entry.at("prompt_length").get<std::int64_t>();
    row.row_index = static_cast<std::int64_t>(rows.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

// Update s is updates[s mod their number], for as long as steps are asked for.
train::UpdateSource read_updates(const Json& document, std::int64_t micro_batch_size) {
  std::vector<data::Update> updates;
  for (const Json& rows : document.at("updates")) {
    data::Update update;
    for (const Json& row : rows) {
      const bool is_full =
          !update.slots.empty() && micro_batch_size > 0 &&
          static_cast<std::int64_t>(update.slots.back().size()) == micro_batch_size;
      if (update.slots.empty() || is_full) {
        update.slots.emplace_back();
      }
      update.slots.back().push_back(row.get<std::int64_t>());
    }
    updates.push_back(std::move(update));
  }
  return {std::numeric_limits<std::int32_t>::max(),
          [updates = std::move(updates)](std::int64_t step) {
            return updates[static_cast<std::size_t>(step) % updates.size()];
          }};
}

[[noreturn]] void refuse(const std::string& key, const std::string& expected, const Json& found) {
  throw base::Error(base::ErrorKind::kUsage, "a setting of the rows file cannot be measured",
                    {.where = "settings." + key,
                     .expected = expected,
                     .found = found.dump(),
                     .fix = "change it"});
}

train::TrainerOptions read_options(const Json& document, std::int64_t micro_batch_size) {
  const Json& settings = document.at("settings");
  const train::AdamWOptions adamw;
  if (settings.at("betas") != Json({adamw.beta1, adamw.beta2}) ||
      settings.at("epsilon") != adamw.epsilon) {
    refuse("betas, epsilon", fmt::format("{}, {}, {}", adamw.beta1, adamw.beta2, adamw.epsilon),
           settings);
  }
  if (settings.at("lr_scheduler_type") != "constant") {
    // Steps go on for as long as they are asked for: there is no last one a schedule could lead to.
    refuse("lr_scheduler_type", "constant", settings.at("lr_scheduler_type"));
  }
  train::TrainerOptions options;
  options.learning_rate = settings.at("learning_rate").get<double>();
  options.lr_scheduler_type = "constant";
  options.weight_decay = settings.at("weight_decay").get<double>();
  options.max_grad_norm = settings.at("max_grad_norm").get<double>();
  options.updates = read_updates(document, micro_batch_size);
  return options;
}

model::Adapter read_adapter(const std::string& file,
                            const Json& settings,
                            std::int64_t num_layers) {
  const weights::SafetensorsFile tensors(file);
  expert::ExpertState state;
  state.task = "initial";
  state.lora_rank = settings.at("lora_rank").get<std::int64_t>();
  state.lora_alpha = settings.at("lora_alpha").get<double>();
  for (const auto& [name, view] : tensors.tensors()) {
    if (view.dtype != weights::DType::kF32) {
      refuse("initial", "float32 factors", name);
    }
    expert::NamedArray array{name, view.shape,
                             std::vector<float>(view.bytes.size() / sizeof(float))};
    std::memcpy(array.values.data(), view.bytes.data(), view.bytes.size());
    state.arrays.push_back(std::move(array));
  }
  return model::adapter_from_state(state, num_layers, at::kCPU);
}

void take_step(train::Trainer& trainer) {
  const auto begin = std::chrono::steady_clock::now();
  const train::StepRecord record = trainer.train_step().value();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  say({{"step", record.step - 1},
       {"loss", record.loss},
       {"grad_norm", record.gradient_norm},
       {"seconds", seconds.count()},
       {"num_tokens", record.num_tokens},
       {"num_target_tokens", record.num_target_tokens}});
}

void obey(train::Trainer& trainer) {
  say({{"ready", true}, {"peak_rss_bytes", peak_rss_bytes()}});
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    std::int64_t count = 0;
    words >> command;
    if (command == "quit") {
      return;
    }
    if (command != "step" || !(words >> count)) {
      throw base::Error(base::ErrorKind::kUsage, "unknown command",
                        {.where = "standard input",
                         .expected = "step N or quit",
                         .found = line,
                         .fix = "see README.md"});
    }
    for (std::int64_t i = 0; i < count; ++i) {
      take_step(trainer);
    }
    say({{"done", count}, {"peak_rss_bytes", peak_rss_bytes()}});
  }
}

Arguments read_arguments(int argc, char** argv) {
  namespace options = boost::program_options;
  Arguments arguments;
  options::options_description description(
      "baton_bench_train: one rank's training, step by step (README.md)");
  description.add_options()("rows", options::value(&arguments.rows)->required(), "rows file")(
      "base", options::value(&arguments.base)->required(), "base model folder")(
      "initial", options::value(&arguments.initial)->required(), "initial adapter, safetensors")(
      "dtype", options::value(&arguments.dtype)->default_value("float32"), "float32 or bfloat16")(
      "threads", options::value(&arguments.threads)->default_value(2), "threads")(
      "micro-batch-size", options::value(&arguments.micro_batch_size)->default_value(0),
      "rows of a slot; 0: an update is one slot");
  options::variables_map values;
  options::store(options::parse_command_line(argc, argv, description), values);
  options::notify(values);
  if (arguments.dtype != "float32" && arguments.dtype != "bfloat16") {
    throw base::Error(
        base::ErrorKind::kUsage, "unknown dtype",
        {.where = "--dtype", .expected = "float32 or bfloat16", .found = arguments.dtype});
  }
  return arguments;
}

void run(const Arguments& arguments) {
  at::set_num_threads(arguments.threads);
  const Json document = base::read_json_file(arguments.rows, base::ErrorKind::kData);
  const auto dtype = arguments.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const auto model = model::Decoder::load(arguments.base, dtype, at::kCPU);
  const model::Adapter initial =
      read_adapter(arguments.initial, document.at("settings"), model->config().num_hidden_layers);
  const auto group = comm::make_single_communicator();
  train::Trainer trainer(*model, *group, read_rows(document), initial,
                         read_options(document, arguments.micro_batch_size));
  obey(trainer);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(read_arguments(argc, argv));
    return 0;
  } catch (const baton::base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return baton::base::exit_code(error.kind());
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "%s\n", exception.what());
    return 2;
  }
}
