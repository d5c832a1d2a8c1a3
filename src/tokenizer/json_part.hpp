#pragma once
// A part of tokenizer.json together with its name in the file, so that every complaint can say
// where.

#include <cstddef>
#include <string>
#include <vector>

#include "baton/base/json.hpp"

namespace baton::tokenizer {

class JsonPart {
 public:
  /// `file` and `name` are what errors show: "folder/tokenizer.json", "model.merges".
  JsonPart(const base::Json& value, std::string file, std::string name);

  const base::Json& value() const { return *value_; }
  const std::string& name() const { return name_; }

  /// The member `key`; absent members are a null part.
  JsonPart at(const std::string& key) const;
  std::vector<JsonPart> elements() const;  // of an array

  bool is_null() const { return value_->is_null(); }

  std::string text() const;
  bool flag() const;
  bool flag_or(bool fallback) const;  // absent or null gives the fallback
  std::int64_t integer() const;
  /// The member "type" of an object.
  std::string type() const;

  /// A kModel error about this part.
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const;

 private:
  void demand(bool holds, const char* expected) const;

  const base::Json* value_;
  std::string file_;
  std::string name_;
};

}  // namespace baton::tokenizer
