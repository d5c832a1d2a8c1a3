#include "baton/data/layout.hpp"

#include <algorithm>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::data {

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> kLayouts{
      {.name = "alpaca",
       .columns = {{"id", "id"},
                   {"prompt", "instruction"},
                   {"query", "input"},
                   {"response", "output"},
                   {"system", "system"},
                   {"history", "history"},
                   {"options", "options"}},
       .read = read_alpaca},
      {.name = "ssr",
       .columns = {{"id", "id"}, {"prompt", "full_prompt"}, {"response", "output"}},
       .read = read_prompts,
       .find_files = find_ssr_files},
      {.name = "bigbench", .columns = {}, .reads_instruction = true, .read = read_bigbench},
      {.name = "natural_instructions",
       .columns = {},
       .reads_instruction = true,
       .read = read_natural_instructions},
      {.name = "olora",
       .columns = {{"id", "id"}, {"prompt", "sentence"}, {"response", "label"}},
       .reads_instruction = true,
       .read = read_olora,
       .find_files = find_olora_files},
      {.name = "trace",
       .columns = {{"id", "id"}, {"prompt", "prompt"}, {"response", "answer"}},
       .read = read_prompts,
       .find_files = find_trace_files},
      {.name = "sharegpt",
       .columns = {{"id", "id"}, {"messages", "conversations"}, {"system", "system"}},
       .read = read_sharegpt},
      {.name = "messages",
       .columns = {{"id", "id"}, {"messages", "messages"}, {"system", "system"}},
       .read = read_sharegpt},
      {.name = "mmlu",
       .columns =
           {{"id", "id"}, {"prompt", "question"}, {"options", "choices"}, {"response", "answer"}},
       .reads_instruction = true,
       .read = read_mmlu,
       .find_files = find_mmlu_files,
       .find_tasks = find_mmlu_tasks},
  };
  return kLayouts;
}

const Layout* known_layout(const std::string& name) {
  const std::vector<Layout>& all = layouts();
  const auto place = std::find_if(all.begin(), all.end(),
                                  [&name](const Layout& layout) { return layout.name == name; });
  return place == all.end() ? nullptr : &*place;
}

const Layout& find_layout(const std::string& name, const std::string& origin) {
  if (const Layout* layout = known_layout(name)) {
    return *layout;
  }
  std::vector<std::string> names;
  for (const Layout& layout : layouts()) {
    names.push_back(layout.name);
  }
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kData, "a task has a layout this program cannot read",
      {.where = origin + ", key \"formatting\"",
       .expected = base::join(names, ", "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?"
                      : "convert the rows to one of these layouts (data/README.md shows them)"});
}

}  // namespace baton::data
