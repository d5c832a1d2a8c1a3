#pragma once
// Makers of options by type: each reads a text strictly, checks its range and writes it back
// canonically. `get` is a generic lambda from (const or mutable) Config to the member.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/text.hpp"
#include "option_table.hpp"

namespace baton::config {

struct IntegerRange {
  std::int64_t low = 0;
  std::int64_t high = 0;

  std::string describe() const { return fmt::format("an integer from {} to {}", low, high); }
};

struct NumberRange {
  double low = 0;
  bool low_open = false;
  double high = 0;
  bool high_open = false;

  bool holds(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
  std::string describe() const {
    return fmt::format("a number {} {} and {} {}", low_open ? ">" : ">=", low,
                       high_open ? "<" : "<=", high);
  }
};

template <typename Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return value;
}

inline std::string number_text(double value) {
  return fmt::format("{}", value + 0.0);  // + 0.0: minus zero is zero
}

inline std::int64_t read_integer(const std::string& text, const IntegerRange& range) {
  const auto value = parse_number<std::int64_t>(text);
  if (!value || *value < range.low || *value > range.high) {
    throw ValueProblem{};
  }
  return *value;
}

inline double read_number(const std::string& text, const NumberRange& range) {
  const auto value = parse_number<double>(text);
  if (!value || !std::isfinite(*value) || !range.holds(*value)) {
    throw ValueProblem{};
  }
  return *value + 0.0;
}

template <typename Get>
Option integer_option(OptionInfo info, IntegerRange range, Get get) {
  info.values = range.describe();
  return {std::move(info),
          [=](Config& config, const std::string& text) { get(config) = read_integer(text, range); },
          [=](const Config& config) { return fmt::format("{}", get(config)); }};
}

template <typename Get>
Option auto_integer_option(OptionInfo info, IntegerRange range, Get get) {
  info.values = "auto or " + range.describe();
  info.default_text = "auto";
  return {std::move(info),
          [=](Config& config, const std::string& text) {
            if (text == "auto") {
              get(config).reset();
            } else {
              get(config) = read_integer(text, range);
            }
          },
          [=](const Config& config) {
            return get(config) ? fmt::format("{}", *get(config)) : std::string("auto");
          }};
}

template <typename Get>
Option number_option(OptionInfo info, NumberRange range, Get get) {
  info.values = range.describe();
  return {std::move(info),
          [=](Config& config, const std::string& text) { get(config) = read_number(text, range); },
          [=](const Config& config) { return number_text(get(config)); }};
}

/// `later` are values that will exist and are refused in words until then.
template <typename Get>
Option choice_option(OptionInfo info,
                     std::vector<std::string> choices,
                     std::vector<std::string> later,
                     Get get) {
  info.values = (choices.size() == 1 ? "" : "one of ") + base::join(choices, ", ");
  return {
      std::move(info),
      [=](Config& config, const std::string& text) {
        if (std::find(later.begin(), later.end(), text) != later.end()) {
          throw ValueProblem{fmt::format("'{}' is not available in this version", text), "", ""};
        }
        if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
          const auto nearest = base::nearest_name(text, choices);
          throw ValueProblem{"", "", nearest ? fmt::format("did you mean '{}'?", *nearest) : ""};
        }
        get(config) = text;
      },
      [=](const Config& config) { return get(config); }};
}

template <typename Get>
Option text_option(OptionInfo info, std::string values, Get get) {
  info.values = std::move(values);
  return {std::move(info),
          [=](Config& config, const std::string& text) {
            if (text.empty()) {
              throw ValueProblem{};
            }
            get(config) = text;
          },
          [=](const Config& config) { return get(config); }};
}

template <typename Get>
Option list_option(OptionInfo info,
                   std::string values,
                   std::function<std::vector<std::string>(const std::string&)> read,
                   Get get) {
  info.values = std::move(values);
  return {std::move(info),
          [=](Config& config, const std::string& text) { get(config) = read(text); },
          [=](const Config& config) { return base::join(get(config), ","); }};
}

}  // namespace baton::config
