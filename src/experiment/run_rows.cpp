#include "baton/experiment/run_rows.hpp"

#include <cstdint>

#include "baton/base/json.hpp"

namespace baton::experiment {

namespace {

using base::Json;

Json to_json(const std::vector<data::Example>& rows) {
  Json list = Json::array();
  for (const data::Example& row : rows) {
    Json conversation = Json::array();
    for (const tokenizer::Message& message : row.conversation) {
      conversation.push_back(Json::array({message.role, message.text}));
    }
    list.push_back({row.id, conversation, row.references, row.origin});
  }
  return list;
}

std::vector<data::Example> rows_from(const Json& list) {
  std::vector<data::Example> rows;
  for (const Json& item : list) {
    data::Example row;
    row.id = item.at(0).get<std::string>();
    for (const Json& message : item.at(1)) {
      row.conversation.push_back(
          {message.at(0).get<std::string>(), message.at(1).get<std::string>()});
    }
    row.references = item.at(2).get<std::vector<std::string>>();
    row.origin = item.at(3).get<std::string>();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::string to_bytes(const RunRows& rows) {
  Json tasks = Json::array();
  for (const TaskRows& task : rows.tasks) {
    const data::RehearsalBuffer& buffer = task.buffer;
    tasks.push_back({task.name, task.train ? to_json(*task.train) : Json(), buffer.task,
                     buffer.num_task_rows, buffer.ratio, buffer.seed, buffer.selection,
                     to_json(buffer.rows)});
  }
  const std::vector<std::uint8_t> bytes =
      Json::to_cbor(Json::array({to_json(rows.general), tasks}));
  return {bytes.begin(), bytes.end()};
}

RunRows run_rows_from(const std::string& bytes) {
  const Json json = Json::from_cbor(bytes);
  RunRows rows;
  rows.general = rows_from(json.at(0));
  for (const Json& item : json.at(1)) {
    TaskRows task;
    task.name = item.at(0).get<std::string>();
    if (!item.at(1).is_null()) {
      task.train = rows_from(item.at(1));
    }
    task.buffer.task = item.at(2).get<std::string>();
    task.buffer.num_task_rows = item.at(3).get<std::int64_t>();
    task.buffer.ratio = item.at(4).get<double>();
    task.buffer.seed = item.at(5).get<std::uint64_t>();
    task.buffer.selection = item.at(6).get<std::string>();
    task.buffer.rows = rows_from(item.at(7));
    rows.tasks.push_back(std::move(task));
  }
  return rows;
}

}  // namespace baton::experiment
