// Records as bytes and back: CBOR, so that every double keeps its bits.

#include <cstdint>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/eval/evaluator.hpp"

namespace baton::eval {
namespace {

using base::Json;

Json to_json(const Answer& answer) {
  return Json::array({answer.text, answer.new_tokens});
}

Answer answer_from(const Json& json) {
  return {json.at(0).get<std::string>(), json.at(1).get<std::int64_t>()};
}

Json to_json(const QueryRecord& record) {
  Json answers = Json::array();
  for (const std::optional<Answer>& answer : record.answers) {
    answers.push_back(answer ? to_json(*answer) : Json());
  }
  return Json::array({record.task_index, record.query_index, record.prompt_tokens, record.margins,
                      to_json(record.base), answers});
}

QueryRecord record_from(const Json& json) {
  QueryRecord record;
  record.task_index = json.at(0).get<std::int64_t>();
  record.query_index = json.at(1).get<std::int64_t>();
  record.prompt_tokens = json.at(2).get<std::int64_t>();
  record.margins = json.at(3).get<std::vector<double>>();
  record.base = answer_from(json.at(4));
  for (const Json& answer : json.at(5)) {
    record.answers.push_back(answer.is_null() ? std::nullopt : std::optional(answer_from(answer)));
  }
  return record;
}

}  // namespace

std::string to_bytes(const ChunkResult& result) {
  Json json;
  const RankTimings& timings = result.timings;
  json["timings"] = Json::array({timings.prefill_seconds, timings.decode_seconds,
                                 timings.total_seconds, timings.num_batches});
  json["records"] = Json::array();
  for (const QueryRecord& record : result.records) {
    json["records"].push_back(to_json(record));
  }
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

ChunkResult chunk_result_from(const std::string& bytes, const std::string& origin) {
  try {
    const Json json = Json::from_cbor(bytes);
    ChunkResult result;
    const Json& timings = json.at("timings");
    result.timings = {timings.at(0).get<double>(), timings.at(1).get<double>(),
                      timings.at(2).get<double>(), timings.at(3).get<std::int64_t>()};
    for (const Json& record : json.at("records")) {
      result.records.push_back(record_from(record));
    }
    return result;
  } catch (const Json::exception& error) {
    throw base::Error(base::ErrorKind::kModel, "a chunk of an evaluation cannot be read",
                      {.where = origin,
                       .found = error.what(),
                       .fix = "remove the file; the chunk is computed again"});
  }
}

}  // namespace baton::eval
