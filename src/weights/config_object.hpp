#pragma once
// One JSON object of a model's config.json with typed, checked access; null counts as absent.
// Errors are kModel and name file, key, expected and found.

#include <cstdint>
#include <filesystem>
#include <string>

#include "baton/base/json.hpp"

namespace baton::weights {

class ConfigObject {
 public:
  /// `origin` is what errors name: the file, and the key that holds the object where it is an inner
  /// one. `object` must outlive this.
  ConfigObject(const base::Json& object, std::string origin);

  const std::string& origin() const { return origin_; }
  const base::Json* find(const std::string& key) const;
  /// Null, too: to some keys it says another thing than absence.
  bool contains(const std::string& key) const { return object_.contains(key); }

  [[noreturn]] void fail(const std::string& key,
                         const std::string& expected,
                         const std::string& found,
                         const std::string& fix = "") const;

  std::int64_t integer_of(const std::string& key,
                          const base::Json& value,
                          std::int64_t low,
                          std::int64_t high) const;
  std::int64_t required_integer(const std::string& key, std::int64_t low, std::int64_t high) const;
  std::int64_t integer_or(const std::string& key,
                          std::int64_t absent,
                          std::int64_t low,
                          std::int64_t high) const;
  double positive_number_or(const std::string& key, double absent) const;
  double required_positive_number(const std::string& key) const;
  bool boolean_or(const std::string& key, bool absent) const;
  std::string text_or(const std::string& key, const std::string& absent) const;

 private:
  double positive_number(const std::string& key, const base::Json& value) const;

  const base::Json& object_;
  std::string origin_;
};

/// A value for a message: JSON, cut after 80 characters.
std::string shown(const base::Json& value);

/// A configuration file of a model folder.
base::Json read_config_json(const std::filesystem::path& path);

}  // namespace baton::weights
