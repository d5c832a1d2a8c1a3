#include "baton/eval/samples.hpp"

#include <fmt/format.h>

#include <sstream>

#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"

namespace baton::eval {
namespace {

using base::Json;
using base::OrderedJson;

OrderedJson sample(std::int64_t number, const Json& line, const SampleFacts& facts) {
  const auto task = line.at("task").get<std::string>();
  const auto prompt = line.at("prompt").get<std::string>();
  const auto answer = line.at("answer").get<std::string>();
  const auto target = line.at("references").at(0).get<std::string>();
  const auto answerer = line.at("answered_by").back().get<std::string>();
  const std::string& metric = facts.metrics.at(task);
  const OrderedJson doc = {{"task", task},
                           {"id", line.at("id")},
                           {"prompt", prompt},
                           {"references", line.at("references")}};
  OrderedJson json;
  json["doc_id"] = number;
  json["doc"] = doc;
  json["target"] = target;
  json["arguments"]["gen_args_0"] = {{"arg_0", prompt},
                                     {"arg_1",
                                      {{"until", OrderedJson::array()},
                                       {"do_sample", false},
                                       {"max_gen_toks", facts.max_new_tokens}}}};
  json["resps"] = OrderedJson::array({OrderedJson::array({answer})});
  json["filtered_resps"] = OrderedJson::array({answer});
  json["filter"] = "none";
  json["metrics"] = OrderedJson::array({metric});
  json["doc_hash"] = base::sha256_hex(doc.dump(2));
  json["prompt_hash"] = base::sha256_hex(prompt);
  json["target_hash"] = base::sha256_hex(target);
  json[metric] = line.at("scores").at(answerer);
  return json;
}

}  // namespace

std::string samples_jsonl(const std::string& predictions,
                          const SampleFacts& facts,
                          const std::string& origin) {
  std::istringstream lines(predictions);
  std::string text;
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    const std::string place = fmt::format("{} line {}", origin, number + 1);
    const Json json = base::parse_json(line, base::ErrorKind::kModel, place);
    try {
      text += sample(number, json, facts).dump() + "\n";
    } catch (const std::exception& error) {  // of nlohmann-json, or a task without a scorer
      throw base::Error(base::ErrorKind::kModel, "a line of predictions cannot be exported",
                        {.where = place,
                         .expected = "what `baton eval` writes",
                         .found = error.what(),
                         .fix = "run `baton eval` again"});
    }
  }
  return text;
}

}  // namespace baton::eval
