#pragma once
// JSON as trusted as its origin: nesting to 64 levels, duplicate keys refused, UTF-8 checked.
// nlohmann-json does the parsing; these functions add the limits and errors that name the file and
// the place.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "baton/base/error.hpp"

namespace baton::base {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

/// `origin` is what an error names ("tasks/qa.json line 3").
Json parse_json(std::string_view text, ErrorKind kind, const std::string& origin);
Json read_json_file(const std::filesystem::path& path, ErrorKind kind);

}  // namespace baton::base
