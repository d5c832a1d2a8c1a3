#pragma once
// `baton inspect PATH [--json]`: needs no MPI and no model.

#include <filesystem>
#include <ostream>

namespace baton::app {

/// Prints what a run folder, an HDF5 file or a results.json holds; what is wrong with it goes to the
/// log. Returns 0, or 4 (the exit code of a damaged file) when anything in it is damaged or
/// missing.
int run_inspect(const std::filesystem::path& path, bool as_json, std::ostream& out);

}  // namespace baton::app
