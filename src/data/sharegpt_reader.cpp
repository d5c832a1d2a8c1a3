// Conversations, in ShareGPT's words (from: human, gpt; value) or OpenAI's (role: user, assistant;
// content), told apart by each turn's own fields. The last turn is the answer; what stands before it
// is the prompt.

#include <fmt/format.h>

#include <array>

#include "baton/base/text.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

using tokenizer::Message;

struct RoleName {
  const char* name;
  const char* role;
};

constexpr std::array<RoleName, 5> kRoles{{{"human", "user"},
                                          {"user", "user"},
                                          {"gpt", "assistant"},
                                          {"assistant", "assistant"},
                                          {"system", "system"}}};

Message read_turn(const JsonRow& turn) {
  if (!turn.value.is_object()) {
    refuse_row(turn.origin, "a turn is not a JSON object",
               "{\"from\": ..., \"value\": ...} or {\"role\": ..., \"content\": ...}",
               describe_type(turn.value), "correct this row");
  }
  const bool is_openai = turn.value.contains("role");
  const std::string name = require_text(turn, is_openai ? "role" : "from");
  for (const RoleName& known : kRoles) {
    if (name == known.name) {
      return {known.role, require_text(turn, is_openai ? "content" : "value")};
    }
  }
  refuse_row(turn.origin, "a turn has a role that is not known",
             "human or user, gpt or assistant, system", "another (tools are not read)",
             "leave out rows with such turns");
}

// Users and assistants take turns, the user first; a system message may stand before them.
void check_order(const std::vector<Message>& turns, const std::string& origin) {
  const std::size_t first = !turns.empty() && turns.front().role == "system" ? 1 : 0;
  bool good = turns.size() >= first + 2 && (turns.size() - first) % 2 == 0;
  for (std::size_t i = first; good && i < turns.size(); ++i) {
    good = turns[i].role == ((i - first) % 2 == 0 ? "user" : "assistant");
  }
  if (!good) {
    refuse_row(origin, "the turns of a conversation are not in order",
               "user, assistant, user, assistant, ... and an assistant's answer at the end",
               fmt::format("{} turns in another order", turns.size()), "correct this row");
  }
}

}  // namespace

std::vector<Example> read_sharegpt(const ReadRequest& request) {
  const std::string& field = request.columns.at("messages");
  std::vector<Example> examples;
  for (const JsonRow& row : read_json_rows(request.path)) {
    const auto list = row.value.find(field);
    if (list == row.value.end() || !list->is_array()) {
      refuse_row(row.origin, "a row holds no conversation",
                 fmt::format("a list of turns in \"{}\"", field),
                 list == row.value.end() ? "no such field" : describe_type(*list),
                 "correct this row, or name another field under \"columns\"");
    }
    Example example;
    const std::string system = optional_text(row, request.columns.at("system")).value_or("");
    if (!system.empty()) {
      example.conversation.push_back({"system", system});
    }
    for (const base::Json& turn : *list) {
      example.conversation.push_back(
          read_turn({turn, fmt::format("{}, turn {}", row.origin, &turn - &(*list)[0] + 1)}));
    }
    check_order(example.conversation, row.origin);
    example.id = optional_id(row, request.columns.at("id")).value_or("");
    example.references = {example.conversation.back().text};
    example.conversation.pop_back();
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace baton::data
