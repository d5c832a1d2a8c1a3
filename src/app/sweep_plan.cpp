#include "sweep_plan.hpp"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/base/text.hpp"
#include "baton/method/method.hpp"

namespace baton::app {

namespace {

constexpr std::int64_t kMost = 1000;

[[noreturn]] void refuse(const std::string& flag,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(base::ErrorKind::kUsage, "this sweep cannot be planned",
                    {.where = flag,
                     .expected = expected,
                     .found = "'" + found + "'",
                     .fix = "for example --methods see,replay --seeds 3 --orders 1,2"});
}

std::int64_t read_number(const std::string& flag, const std::string& text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || value < 1 || value > kMost) {
    refuse(flag, fmt::format("whole numbers from 1 to {}", kMost), text);
  }
  return value;
}

std::vector<std::string> read_list(const std::string& flag, const std::string& text) {
  std::vector<std::string> items = base::split_list(text);
  const std::set<std::string> distinct(items.begin(), items.end());
  if (items.empty() || distinct.size() != items.size()) {
    refuse(flag, "one or more different values, comma-separated", text);
  }
  return items;
}

SweepRun make_run(const config::Command& command,
                  const config::Config& config,
                  const std::string& method,
                  std::int64_t order,
                  std::uint64_t seed) {
  SweepRun run;
  run.method = method;
  run.order = order;
  run.seed = seed;
  run.name = fmt::format("{}-order{}-seed{}", method, order, seed);
  run.folder = std::filesystem::path(config.output.output_dir) / run.name;
  run.train = command;
  run.train.verb = config::Verb::kTrain;
  const auto set = [&](const std::string& key, const std::string& value) {
    std::erase_if(run.train.overrides, [&](const auto& given) { return given.key == key; });
    run.train.overrides.push_back({key, value, "the sweep's run " + run.name});
  };
  set("method.method", method);
  set("train.seed", fmt::format("{}", seed));
  set("data.tasks", base::join(tasks_in_order(config.data.tasks, order), ","));
  set("output.output_dir", run.folder.string());
  config::Config own =
      config::load_config(command.config_file, run.train.overrides, config::Purpose::kTrain);
  if (!method::make_method(own)->lets_routers_choose()) {
    set("eval.routers", "");
    own = config::load_config(command.config_file, run.train.overrides, config::Purpose::kTrain);
  }
  run.config = own;
  run.eval.verb = config::Verb::kEval;
  run.eval.run = run.folder;
  // A run folder keeps the keys it was trained with; these may have changed since.
  std::map<std::string, std::string> settings = config::evaluation_settings(own);
  for (const auto& [key, value] : config::resolved(own)) {
    if (key.starts_with("cluster.")) {
      settings[key] = value;
    }
  }
  for (const auto& [key, value] : settings) {
    run.eval.overrides.push_back({key, value, "the sweep's run " + run.name});
  }
  return run;
}

}  // namespace

std::vector<std::string> tasks_in_order(const std::vector<std::string>& tasks, std::int64_t order) {
  std::vector<std::string> ordered = tasks;
  if (order > 1) {
    base::Random random(base::seed_for(static_cast<std::uint64_t>(order), {"task order"}));
    random.shuffle(std::span(ordered));
  }
  return ordered;
}

std::vector<SweepRun> plan_sweep(const config::Command& command) {
  const config::Config config =
      config::load_config(command.config_file, command.overrides, config::Purpose::kTrain);
  const std::vector<std::string> methods = read_list("--methods", command.methods);
  const std::int64_t num_seeds = read_number("--seeds", command.seeds);
  std::vector<SweepRun> runs;
  for (const std::string& order : read_list("--orders", command.orders)) {
    for (std::int64_t seed = 0; seed < num_seeds; ++seed) {
      for (const std::string& method : methods) {
        runs.push_back(make_run(command, config, method, read_number("--orders", order),
                                config.train.seed + static_cast<std::uint64_t>(seed)));
      }
    }
  }
  return runs;
}

}  // namespace baton::app
