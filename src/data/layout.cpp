#include "baton/data/layout.hpp"

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
                   {"history", "history"}},
       .read = read_alpaca},
      {.name = "ssr",
       .columns = {{"id", "id"}, {"prompt", "full_prompt"}, {"response", "output"}},
       .read = read_ssr},
      {.name = "bigbench", .columns = {}, .reads_instruction = true, .read = read_bigbench},
  };
  return kLayouts;
}

const Layout& find_layout(const std::string& name, const std::string& origin) {
  std::vector<std::string> names;
  for (const Layout& layout : layouts()) {
    if (layout.name == name) {
      return layout;
    }
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
