#include "config_object.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"

namespace baton::weights {

using base::Error;
using base::ErrorKind;
using base::Json;

namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;

}  // namespace

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 80) {
    text = text.substr(0, 77) + "...";
  }
  return text;
}

ConfigObject::ConfigObject(const Json& object, std::string origin)
    : object_(object), origin_(std::move(origin)) {
  if (!object.is_object()) {
    throw Error(ErrorKind::kModel, "A part of the model configuration is not an object.",
                {.where = origin_,
                 .expected = "a JSON object",
                 .found = object.type_name(),
                 .fix = "Copy the model folder again."});
  }
}

const Json* ConfigObject::find(const std::string& key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

void ConfigObject::fail(const std::string& key,
                        const std::string& expected,
                        const std::string& found,
                        const std::string& fix) const {
  throw Error(ErrorKind::kModel, fmt::format("The model configuration's {} cannot be used.", key),
              {.where = fmt::format("{}, key {}", origin_, key),
               .expected = expected,
               .found = found,
               .fix = fix});
}

std::int64_t ConfigObject::integer_of(const std::string& key,
                                      const Json& value,
                                      std::int64_t low,
                                      std::int64_t high) const {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() &&
       value.get<std::uint64_t>() >
           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) {
    fail(key, expected, shown(value));
  }
  const auto number = value.get<std::int64_t>();
  if (number < low || number > high) {
    fail(key, expected, shown(value));
  }
  return number;
}

std::int64_t ConfigObject::required_integer(const std::string& key,
                                            std::int64_t low,
                                            std::int64_t high) const {
  const Json* value = find(key);
  if (value == nullptr) {
    fail(key, fmt::format("a whole number from {} to {}", low, high), "no such key",
         "The file is incomplete or of another model family; copy the model folder again.");
  }
  return integer_of(key, *value, low, high);
}

std::int64_t ConfigObject::integer_or(const std::string& key,
                                      std::int64_t absent,
                                      std::int64_t low,
                                      std::int64_t high) const {
  const Json* value = find(key);
  return value == nullptr ? absent : integer_of(key, *value, low, high);
}

double ConfigObject::positive_number(const std::string& key, const Json& value) const {
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
    fail(key, "a positive number", shown(value));
  }
  return value.get<double>();
}

double ConfigObject::positive_number_or(const std::string& key, double absent) const {
  const Json* value = find(key);
  return value == nullptr ? absent : positive_number(key, *value);
}

double ConfigObject::required_positive_number(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) {
    fail(key, "a positive number", "no such key");
  }
  return positive_number(key, *value);
}

bool ConfigObject::boolean_or(const std::string& key, bool absent) const {
  const Json* value = find(key);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_boolean()) {
    fail(key, "true or false", shown(*value));
  }
  return value->get<bool>();
}

std::string ConfigObject::text_or(const std::string& key, const std::string& absent) const {
  const Json* value = find(key);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_string()) {
    fail(key, "a text", shown(*value));
  }
  return value->get<std::string>();
}

Json read_config_json(const std::filesystem::path& path) {
  return base::parse_json(base::read_file(path, ErrorKind::kModel, kMaxConfigBytes),
                          ErrorKind::kModel, path.string());
}

}  // namespace baton::weights
