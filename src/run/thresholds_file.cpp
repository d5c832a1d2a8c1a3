#include "baton/run/thresholds_file.hpp"

#include <cmath>
#include <filesystem>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"

namespace baton::run {

namespace {

constexpr int kFormat = 1;

base::OrderedJson to_json(const Thresholds& thresholds) {
  base::OrderedJson json{{"format", kFormat}, {"target", thresholds.target}};
  for (const auto& [task, set] : thresholds.by_task) {
    json["thresholds"][task] = {{"threshold", set.threshold},
                                {"trained", set.trained},
                                {"own_accepted", set.own_accepted},
                                {"foreign_accepted", set.foreign_accepted},
                                {"expert_sha256", set.expert_sha256}};
  }
  return json;
}

Thresholds from_json(const base::Json& json) {
  Thresholds thresholds;
  if (json.at("format").get<int>() != kFormat) {
    throw base::Json::other_error::create(501, "a format of another version", &json);
  }
  thresholds.target = json.at("target").get<std::string>();
  for (const auto& [task, entry] : json.at("thresholds").items()) {
    SetThreshold& set = thresholds.by_task[task];
    set.threshold = entry.at("threshold").get<double>();
    set.trained = entry.at("trained").get<double>();
    set.own_accepted = entry.at("own_accepted").get<double>();
    set.foreign_accepted = entry.at("foreign_accepted").get<double>();
    set.expert_sha256 = entry.at("expert_sha256").get<std::string>();
    if (!std::isfinite(set.threshold)) {
      throw base::Json::other_error::create(501, "a threshold that is not finite", &json);
    }
  }
  return thresholds;
}

}  // namespace

std::optional<Thresholds> load_thresholds(const RunFolder& folder) {
  const std::filesystem::path path = folder.path_of(kThresholdsFile);
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  folder.verify(kThresholdsFile);
  const base::Json json = base::parse_json(base::read_file(path, base::ErrorKind::kModel),
                                           base::ErrorKind::kModel, path.string());
  try {
    return from_json(json);
  } catch (const base::Json::exception& error) {
    throw base::Error(base::ErrorKind::kModel, "the thresholds of a run cannot be read",
                      {.where = path.string(),
                       .expected = "what `baton calibrate` writes",
                       .found = error.what(),
                       .fix = "run `baton calibrate` again, or remove the file: the experts' own "
                              "thresholds count then"});
  }
}

void save_thresholds(RunFolder& folder, const Thresholds& thresholds) {
  base::write_file_atomically(folder.path_of(kThresholdsFile), to_json(thresholds).dump(1) + "\n");
  folder.record_file(kThresholdsFile, "", "", made_here());
}

void remove_thresholds(RunFolder& folder) {
  std::filesystem::remove(folder.path_of(kThresholdsFile));
  folder.record().files.erase(kThresholdsFile);
  folder.save();
}

}  // namespace baton::run
