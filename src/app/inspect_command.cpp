#include "inspect_command.hpp"

#include "baton/base/error.hpp"
#include "baton/run/inspect.hpp"

namespace baton::app {

int run_inspect(const std::filesystem::path& path, bool as_json, std::ostream& out) {
  const base::OrderedJson facts = run::inspect_path(path);
  if (as_json) {
    out << facts.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) << "\n";
  } else {
    run::print_inspection(facts, out);
  }
  return facts["condition"] == "ok" ? 0 : base::exit_code(base::ErrorKind::kModel);
}

}  // namespace baton::app
