#pragma once
// What is in a run folder, an expert file, a buffer file, a generation of training state or an
// eval/results.json, and whether it is whole. Needs no MPI and no model. Used by `baton inspect`.

#include <filesystem>
#include <ostream>

#include "baton/base/json.hpp"

namespace baton::run {

/// The facts as JSON: "kind" is "run", "expert", "rehearsal_buffer", "training_state",
/// "results" or "unknown";
/// "condition" is "ok" or "damaged" (then with "error"). Every checksum is checked. A path that
/// does not exist is a kUsage error.
base::OrderedJson inspect_path(const std::filesystem::path& path);

/// The same for people: aligned tables.
void print_inspection(const base::OrderedJson& facts, std::ostream& out);

}  // namespace baton::run
