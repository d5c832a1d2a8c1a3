#pragma once
// One row of a task as text, whatever file layout it came from. Made by the readers, encoded by
// row_encoder.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/tokenizer/prompt_template.hpp"

namespace baton::data {

struct Example {
  std::string id;                                // unique within its task and split
  std::vector<tokenizer::Message> conversation;  // ends with a user message
  std::vector<std::string> references;           // at least one; training learns the first
  std::string origin;  // "file line 3": for errors and warnings, not part of identity
  std::vector<std::string> options = {};  // what may be answered, where the row says so

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("id", self.id);
    visit("conversation", self.conversation);
    visit("references", self.references);
    visit("origin", self.origin);
    visit("options", self.options);
  }
};

struct TaskData {
  std::string name;
  std::vector<Example> train;
  std::vector<Example> eval;
  std::int64_t num_leaked = 0;  // of these eval rows: their prompt is also that of a train row
  std::string metric = {};      // its scorer, where its entry names one
  std::vector<std::string> labels = {};  // all answers there are, where its entry lists them
};

}  // namespace baton::data
