#include "baton/experiment/run_rows.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/comm/agree.hpp"
#include "baton/data/dataset.hpp"
#include "baton/run/run_paths.hpp"

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

Json to_json(const RowSums& sums) {
  return {sums.num_rows, sums.num_tokens, sums.longest_row, sums.longest_target, sums.text_bytes};
}

RowSums sums_from(const Json& list) {
  return {.num_rows = list.at(0).get<std::int64_t>(),
          .num_tokens = list.at(1).get<std::int64_t>(),
          .longest_row = list.at(2).get<std::int64_t>(),
          .longest_target = list.at(3).get<std::int64_t>(),
          .text_bytes = list.at(4).get<std::int64_t>()};
}

std::string packed(const Json& json) {
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

Json to_json(const data::RehearsalBuffer& buffer) {
  return {buffer.task, buffer.num_task_rows, buffer.ratio,
          buffer.seed, buffer.selection,     to_json(buffer.rows)};
}

data::RehearsalBuffer buffer_from(const Json& item) {
  data::RehearsalBuffer buffer;
  buffer.task = item.at(0).get<std::string>();
  buffer.num_task_rows = item.at(1).get<std::int64_t>();
  buffer.ratio = item.at(2).get<double>();
  buffer.seed = item.at(3).get<std::uint64_t>();
  buffer.selection = item.at(4).get<std::string>();
  buffer.rows = rows_from(item.at(5));
  return buffer;
}

[[noreturn]] void refuse_changed(const std::string& where,
                                 const std::string& expected,
                                 const std::string& found) {
  throw base::Error(
      base::ErrorKind::kData, "rows changed since this run began",
      {.where = where,
       .expected = "rows " + expected.substr(0, 12),
       .found = "rows " + found.substr(0, 12),
       .fix = "leave task files and buffers alone while a run goes on; start it again "
              "to see what differs"});
}

}  // namespace

std::string to_bytes(const RunFacts& facts) {
  Json tasks = Json::array();
  for (const TaskFacts& task : facts.tasks) {
    tasks.push_back({task.name, task.rows_fingerprint, task.buffer_fingerprint, to_json(task.own),
                     to_json(task.rehearsed), task.num_rows});
  }
  return packed(Json::array(
      {tasks, to_json(facts.general), facts.general_fingerprint, to_json(facts.general_sums)}));
}

RunFacts run_facts_from(const std::string& bytes) {
  const Json json = Json::from_cbor(bytes);
  RunFacts facts;
  for (const Json& item : json.at(0)) {
    facts.tasks.push_back({.name = item.at(0).get<std::string>(),
                           .rows_fingerprint = item.at(1).get<std::string>(),
                           .buffer_fingerprint = item.at(2).get<std::string>(),
                           .num_rows = item.at(5).get<std::int64_t>(),
                           .own = sums_from(item.at(3)),
                           .rehearsed = sums_from(item.at(4))});
  }
  facts.general = rows_from(json.at(1));
  facts.general_fingerprint = json.at(2).get<std::string>();
  facts.general_sums = sums_from(json.at(3));
  return facts;
}

ExpertRows read_expert_rows(const config::Config& config,
                            const RunFacts& facts,
                            const method::LearnerPlan& learner) {
  ExpertRows rows;
  rows.plan = learner;
  rows.task = facts.tasks[learner.position].name;
  const data::Dataset dataset(config.data.dataset_dir);
  for (const std::size_t index : learner.own_tasks) {
    const TaskFacts& task = facts.tasks[index];
    OwnRows& own = rows.own.emplace_back();
    own.task = task.name;
    own.rows = dataset.read_train(task.name, config.data.max_train_samples);
    if (const std::string found = data::rows_fingerprint(own.rows);
        found != task.rows_fingerprint) {
      refuse_changed("task " + task.name, task.rows_fingerprint, found);
    }
  }
  const run::RunPaths paths(config.output.output_dir, config.data.tasks);
  for (const std::size_t index : learner.buffers) {
    const std::filesystem::path path = paths.path_of(paths.buffer_file(index));
    rows.earlier.push_back(checkpoint::load_buffer(path));
    const std::string found = rows.earlier.back().fingerprint();
    if (found != facts.tasks[index].buffer_fingerprint) {
      refuse_changed(path.string(), facts.tasks[index].buffer_fingerprint, found);
    }
  }
  return rows;
}

ExpertRows share_expert_rows(const config::Config& config,
                             const RunFacts& facts,
                             const method::LearnerPlan& learner,
                             comm::Communicator& group) {
  const bool leads = group.rank() == 0;
  ExpertRows rows;
  comm::together(group, [&] {
    if (leads) {
      rows = read_expert_rows(config, facts, learner);
    }
  });
  if (group.size() == 1) {
    return rows;
  }
  rows.plan = learner;
  rows.task = facts.tasks[learner.position].name;
  // List by list, so that the packed form of all is never held at once.
  const auto from_leader = [&group](const Json& list) {
    return Json::from_cbor(group.broadcast_bytes(packed(list), 0));
  };
  for (std::size_t i = 0; i < learner.own_tasks.size(); ++i) {
    const Json own = from_leader(leads ? to_json(rows.own[i].rows) : Json());
    if (!leads) {
      rows.own.push_back({facts.tasks[learner.own_tasks[i]].name, rows_from(own)});
    }
  }
  for (std::size_t i = 0; i < learner.buffers.size(); ++i) {
    const Json buffer = from_leader(leads ? to_json(rows.earlier[i]) : Json());
    if (!leads) {
      rows.earlier.push_back(buffer_from(buffer));
    }
  }
  return rows;
}

}  // namespace baton::experiment
