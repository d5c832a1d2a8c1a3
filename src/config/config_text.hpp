#pragma once
// From a config file's lines and from command-line overrides to "section.key" -> text with its
// origin. Knows which keys exist, not what their values mean.

#include <map>
#include <span>
#include <string>

#include "baton/config/config.hpp"

namespace baton::config {

struct GivenValue {
  std::string text;
  std::string origin;  // "quickstart.cfg line 7", "--set train.seed=1"
};
using GivenValues = std::map<std::string, GivenValue>;

GivenValues read_config_text(const std::string& text, const std::string& origin);
GivenValues read_overrides(std::span<const Override> overrides);

/// The file's values with the overrides on top.
GivenValues merge(const GivenValues& file, const GivenValues& overrides);

}  // namespace baton::config
