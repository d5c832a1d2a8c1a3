#include "inspect_command.hpp"

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/run/inspect.hpp"

namespace baton::app {

int run_inspect(const std::filesystem::path& path, bool as_json, std::ostream& out) {
  const base::OrderedJson facts = run::inspect_path(path);
  if (as_json) {
    out << facts.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) << "\n";
  } else {
    run::print_inspection(facts, out);
  }
  for (const std::string& error : run::errors_in(facts)) {
    base::log(base::LogLevel::kError, "inspect", error);
  }
  return facts["condition"] == "ok" ? 0 : base::exit_code(base::ErrorKind::kModel);
}

}  // namespace baton::app
