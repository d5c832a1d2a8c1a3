// A chunk's replies as bytes and back: CBOR, so that every double keeps its bits.

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

Json to_json(const Reply& reply) {
  return Json::array({reply.task_index, reply.query_index, reply.margin,
                      reply.answer ? to_json(*reply.answer) : Json()});
}

Reply reply_from(const Json& json) {
  const Json& answer = json.at(3);
  return {.task_index = json.at(0).get<std::int64_t>(),
          .query_index = json.at(1).get<std::int64_t>(),
          .margin = json.at(2).get<double>(),
          .answer = answer.is_null() ? std::nullopt : std::optional(answer_from(answer))};
}

}  // namespace

std::string to_bytes(const ChunkResult& result) {
  Json json;
  const RankTimings& timings = result.timings;
  json["answerer"] = result.answerer;
  json["timings"] =
      Json::array({timings.prefill_seconds, timings.decode_seconds, timings.total_seconds,
                   timings.num_batches, timings.num_decode_batches});
  json["replies"] = Json::array();
  for (const Reply& reply : result.replies) {
    json["replies"].push_back(to_json(reply));
  }
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

ChunkResult chunk_result_from(const std::string& bytes, const std::string& origin) {
  try {
    const Json json = Json::from_cbor(bytes);
    ChunkResult result;
    result.answerer = json.at("answerer").get<int>();
    const Json& timings = json.at("timings");
    result.timings = {timings.at(0).get<double>(), timings.at(1).get<double>(),
                      timings.at(2).get<double>(), timings.at(3).get<std::int64_t>(),
                      timings.at(4).get<std::int64_t>()};
    for (const Json& reply : json.at("replies")) {
      result.replies.push_back(reply_from(reply));
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
