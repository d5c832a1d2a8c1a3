#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "baton/base/narrow.hpp"
#include "baton/base/text.hpp"
#include "baton/run/inspect.hpp"

namespace baton::run {

namespace {

using base::OrderedJson;

std::string cell(const OrderedJson& value) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_null()) {
    return "-";
  }
  if (value.is_number_float()) {
    return fmt::format("{:g}", value.get<double>());
  }
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const OrderedJson& part : value) {
      parts.push_back(cell(part));
    }
    return base::join(parts, ", ");
  }
  return value.dump();
}

std::string member(const OrderedJson& object, const char* name) {
  return object.contains(name) ? cell(object[name]) : "-";
}

void print_members(const OrderedJson& object,
                   const std::string& prefix,
                   std::vector<std::vector<std::string>>& rows) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      print_members(value, prefix + name + ".", rows);
    } else if (name != "error") {
      rows.push_back({prefix + name, cell(value)});
    }
  }
}

void print_facts(const OrderedJson& facts, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  print_members(facts, "", rows);
  out << base::format_table({"fact", "value"}, rows);
}

/// "experts/01-qa.h5" -> "01-qa": the table's title says which folder.
std::string name_of(const OrderedJson& file) {
  return std::filesystem::path(member(file, "file")).stem().string();
}

void print_files(const OrderedJson& facts, std::ostream& out) {
  std::vector<std::vector<std::string>> experts;
  for (const OrderedJson& file : facts["experts"]) {
    const OrderedJson content = file.value("content", OrderedJson::object());
    experts.push_back({name_of(file), member(content, "lora_rank"), member(content, "steps"),
                       member(content, "num_positive"), member(content, "num_negative"),
                       member(content, "accept_threshold"),
                       member(content, "fingerprint").substr(0, 12), member(file, "condition")});
  }
  out << base::format_table(
      {"expert", "rank", "steps", "own", "others", "threshold", "fingerprint", "condition"},
      experts);
  std::vector<std::vector<std::string>> buffers;
  for (const OrderedJson& file : facts["buffers"]) {
    const OrderedJson content = file.value("content", OrderedJson::object());
    buffers.push_back({name_of(file), member(content, "num_rows"), member(content, "num_task_rows"),
                       member(content, "fingerprint").substr(0, 12), member(file, "condition")});
  }
  out << "\n" << base::format_table({"buffer", "rows", "of", "fingerprint", "condition"}, buffers);
  std::vector<std::vector<std::string>> training;
  for (const OrderedJson& state : facts["in_training"]) {
    training.push_back({member(state, "task"), member(state, "step"), member(state, "num_updates"),
                        member(state, "folder")});
  }
  if (!training.empty()) {
    out << "\n" << base::format_table({"in training", "updates", "of", "state"}, training);
  }
  std::vector<std::vector<std::string>> others;
  for (const OrderedJson& file : facts["other_files"]) {
    others.push_back({member(file, "file"), member(file, "condition")});
  }
  if (!others.empty()) {
    out << "\n" << base::format_table({"file", "condition"}, others);
  }
}

void print_run(const OrderedJson& facts, std::ostream& out) {
  out << "run " << member(facts, "path") << ": " << member(facts, "condition") << "\n";
  if (facts.contains("status")) {
    const OrderedJson& status = facts["status"];
    out << fmt::format("{} {} (exit code {})\nstarted {}, last written {}\n",
                       member(status, "command"), member(status, "state"),
                       member(status, "exit_code"), member(status, "started"),
                       member(status, "updated"));
    if (!member(status, "error").empty()) {
      out << fmt::format("rank {} on {}: {}\n", member(status, "rank"), member(status, "host"),
                         member(status, "error"));
    }
  }
  for (const OrderedJson& warning : facts["warnings"]) {
    for (const std::string& line :
         base::wrap_text("warning: " + cell(warning), base::kPlainWidth)) {
      out << line << "\n";
    }
  }
  out << "\n";
  print_files(facts, out);
  if (!facts["compared_with_base"].get<bool>()) {
    out << "\nthe base model is not at hand: shapes and token ids of the experts were compared "
           "with "
           "one another only\n";
  }
  out << "\n";
  print_facts(OrderedJson{{"config", facts["config"]}}, out);
}

void print_results(const OrderedJson& results, std::ostream& out) {
  std::vector<std::string> header{"stage"};
  for (const OrderedJson& task : results["tasks"]) {
    header.push_back(cell(task));
  }
  std::vector<std::vector<std::string>> rows;
  for (const OrderedJson& scores : results["matrix"]) {
    std::vector<std::string> row{rows.empty() ? "base" : std::to_string(rows.size())};
    for (const OrderedJson& score : scores) {
      row.push_back(score.is_number() ? fmt::format("{:.2f}", score.get<double>()) : cell(score));
    }
    row.resize(header.size(), "-");
    rows.push_back(row);
  }
  out << base::format_table(header, rows) << "\n";
  OrderedJson rest = results;
  for (const char* name : {"matrix", "tasks", "routing"}) {
    rest.erase(name);
  }
  print_facts(rest, out);
}

}  // namespace

void print_inspection(const OrderedJson& facts, std::ostream& out) {
  if (facts.contains("error")) {
    out << member(facts, "kind") << ": " << member(facts, "condition") << "\n";
  } else if (facts["kind"] == "run") {
    print_run(facts, out);
  } else if (facts["kind"] == "results") {
    print_results(facts["results"], out);
  } else {
    print_facts(facts, out);
  }
}

}  // namespace baton::run
