#include "baton/comm/versions.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <sstream>

namespace baton::comm {

std::string mpi_compiled_version() {
#ifdef OMPI_MAJOR_VERSION
  return fmt::format("Open MPI {}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
                     OMPI_RELEASE_VERSION);
#else
  return fmt::format("MPI {}.{}", MPI_VERSION, MPI_SUBVERSION);
#endif
}

std::string mpi_loaded_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) {
    return "unknown";
  }
  // "Open MPI v4.1.4, package: Debian OpenMPI, ident: ..."
  std::string line = text.data();
  line = line.substr(0, line.find('\n'));
  const std::string open_mpi = "Open MPI v";
  return line.starts_with(open_mpi)
             ? "Open MPI " + line.substr(open_mpi.size(), line.find(',') - open_mpi.size())
             : line;
}

std::string pmix_version() {
  for (const char* name : {"libpmix.so.2", "libpmix.so"}) {
    void* library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) {
      continue;
    }
    using GetVersion = const char* (*)();
    const auto get_version = reinterpret_cast<GetVersion>(dlsym(library, "PMIx_Get_version"));
    std::string text = get_version != nullptr ? get_version() : "";
    dlclose(library);
    // "OpenPMIx 4.2.2 (PMIx Standard: 4.2, ...)" or "OpenPMIx 4.2.2, repo rev: ..."
    text = text.substr(0, text.find_first_of(",("));
    text.erase(text.find_last_not_of(' ') + 1);
    if (!text.empty()) {
      return text;
    }
  }
  return "";
}

}  // namespace baton::comm
