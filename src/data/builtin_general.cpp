#include "baton/data/builtin_general.hpp"

#include <fmt/format.h>

#include <sstream>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "builtin_general_text.hpp"

namespace baton::data {

std::vector<Example> builtin_general_rows() {
  std::vector<Example> rows;
  std::istringstream lines(kBuiltinGeneralText);
  for (std::string line; std::getline(lines, line);) {
    const std::string number = std::to_string(rows.size() + 1);
    const std::string place = "data/general/instructions.jsonl line " + number;
    const base::Json json = base::parse_json(line, base::ErrorKind::kInternal, place);
    rows.push_back({.id = "general-" + number,
                    .conversation = {{"user", json.at("prompt").get<std::string>()}},
                    .references = {},
                    .origin = place});
  }
  return rows;
}

}  // namespace baton::data
