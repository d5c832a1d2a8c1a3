#include "json_part.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace baton::tokenizer {
namespace {

const base::Json kNull;

std::string describe(const base::Json& value) {
  constexpr std::size_t kMaxShown = 60;
  if (value.is_array() || value.is_object()) {
    return fmt::format("{} of {} entries", value.type_name(), value.size());
  }
  std::string text = value.dump(-1, ' ', true, base::Json::error_handler_t::replace);
  if (text.size() > kMaxShown) {
    text = text.substr(0, kMaxShown) + "...";
  }
  return text;
}

}  // namespace

JsonPart::JsonPart(const base::Json& value, std::string file, std::string name)
    : value_(&value), file_(std::move(file)), name_(std::move(name)) {}

JsonPart JsonPart::at(const std::string& key) const {
  demand(value_->is_object(), "an object");
  const auto found = value_->find(key);
  const std::string full_name = name_.empty() ? key : name_ + "." + key;
  return {found == value_->end() ? kNull : *found, file_, full_name};
}

std::vector<JsonPart> JsonPart::elements() const {
  demand(value_->is_array(), "an array");
  std::vector<JsonPart> parts;
  parts.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    parts.emplace_back((*value_)[i], file_, fmt::format("{}[{}]", name_, i));
  }
  return parts;
}

std::string JsonPart::text() const {
  demand(value_->is_string(), "a string");
  return value_->get<std::string>();
}

bool JsonPart::flag() const {
  demand(value_->is_boolean(), "true or false");
  return value_->get<bool>();
}

bool JsonPart::flag_or(bool fallback) const {
  return is_null() ? fallback : flag();
}

std::int64_t JsonPart::integer() const {
  demand(value_->is_number_integer(), "a whole number");
  if (value_->is_number_unsigned() &&
      value_->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    refuse("a whole number of 63 bits", describe(*value_));
  }
  return value_->get<std::int64_t>();
}

std::string JsonPart::type() const {
  return at("type").text();
}

void JsonPart::refuse(const std::string& expected, const std::string& found) const {
  throw base::Error(
      base::ErrorKind::kModel, "the tokenizer file cannot be used",
      {.where = file_ + ", part " + (name_.empty() ? "(whole file)" : name_),
       .expected = expected,
       .found = found,
       .fix = "take the tokenizer.json that belongs to the model; only BPE tokenizers are "
              "supported"});
}

void JsonPart::demand(bool holds, const char* expected) const {
  if (!holds) {
    refuse(expected, is_null() ? "nothing" : describe(*value_));
  }
}

}  // namespace baton::tokenizer
