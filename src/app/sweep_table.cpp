#include "sweep_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "baton/base/file.hpp"
#include "baton/base/text.hpp"
#include "baton/run/run_paths.hpp"

namespace baton::app {

namespace {

constexpr const char* kSummaries[] = {"AR", "BWT", "FWT", "forgetting", "routing_accuracy"};

std::optional<base::Json> results_of(const SweepRun& run) {
  const std::filesystem::path path = run.folder / "eval" / "results.json";
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  return base::parse_json(base::read_file(path, base::ErrorKind::kModel), base::ErrorKind::kModel,
                          path.string());
}

/// "61.23 +- 0.81": mean and standard deviation of the sample.
std::string mean_and_spread(const std::vector<double>& values, int digits) {
  if (values.empty()) {
    return "-";
  }
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  if (values.size() == 1) {
    return fmt::format("{:.{}f}", mean, digits);
  }
  double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return fmt::format("{:.{}f} +- {:.{}f}", mean, digits, std::sqrt(squares / (count - 1)), digits);
}

}  // namespace

std::string sweep_table(std::span<const SweepRun> runs) {
  using Key = std::pair<std::int64_t, std::string>;
  std::vector<Key> keys;  // in the order of the runs
  std::map<Key, std::map<std::string, std::vector<double>>> values;
  std::map<Key, std::size_t> num_seeds;
  for (const SweepRun& run : runs) {
    const std::optional<base::Json> results = results_of(run);
    if (!results) {
      continue;
    }
    const Key key{run.order, run.method};
    if (num_seeds[key]++ == 0) {
      keys.push_back(key);
    }
    for (const char* name : kSummaries) {
      if (results->contains(name) && results->at(name).is_number()) {
        values[key][name].push_back(results->at(name).get<double>());
      }
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const Key& key : keys) {
    std::vector<std::string> row{key.second, fmt::format("{}", key.first),
                                 fmt::format("{}", num_seeds[key])};
    for (const char* name : kSummaries) {
      row.push_back(
          mean_and_spread(values[key][name], std::string(name) == "routing_accuracy" ? 3 : 2));
    }
    rows.push_back(std::move(row));
  }
  return base::format_table(
      {"method", "order", "seeds", "AR", "BWT", "FWT", "forgetting", "routing"}, rows);
}

base::OrderedJson sweep_json(std::span<const SweepRun> runs) {
  base::OrderedJson json{{"format", 1}, {"runs", base::OrderedJson::array()}};
  for (const SweepRun& run : runs) {
    base::OrderedJson entry{{"folder", run.name},
                            {"method", run.method},
                            {"order", run.order},
                            {"seed", run.seed},
                            {"tasks", run.config.data.tasks}};
    const std::optional<base::Json> results = results_of(run);
    entry["done"] = results.has_value();
    for (const char* name : kSummaries) {
      entry[name] = results ? results->value(name, base::Json()) : base::Json();
    }
    json["runs"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace baton::app
