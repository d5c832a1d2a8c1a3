#pragma once
// What is in a run folder, an expert file, a buffer file, a generation of training state or an
// eval/results.json, and whether it is whole. Needs no MPI and no model. Used by `baton inspect`.

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "baton/base/json.hpp"

namespace baton::run {

/// The facts as JSON: "kind" is "run", "expert", "rehearsal_buffer", "training_state", "results" or
/// "unknown"; "condition" is "ok" or "damaged" (then with "error"). Every checksum and every fact
/// is checked; an expert of a run also against the sizes in its base's config.json, where that can
/// be read. A path that does not exist is a kUsage error.
base::OrderedJson inspect_path(const std::filesystem::path& path);

/// What is wrong, a text each; empty when everything is whole.
std::vector<std::string> errors_in(const base::OrderedJson& facts);

/// The same for people: aligned tables, without the errors.
void print_inspection(const base::OrderedJson& facts, std::ostream& out);

}  // namespace baton::run
