#pragma once
// Versions of the message passing libraries, for `baton doctor`. Needs no world.

#include <string>

namespace baton::comm {

/// "Open MPI 4.1.4": the headers this program was compiled with.
std::string mpi_compiled_version();

/// The same of the library that was loaded; its whole first line where it is another MPI.
std::string mpi_loaded_version();

/// "PMIx 4.2.2" of the library a launcher meets ranks through, or empty when none can be loaded.
std::string pmix_version();

}  // namespace baton::comm
