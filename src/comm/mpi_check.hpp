#pragma once
// MPI status -> Error, in every build. BATON_MPI(call) names the call, its place and the library's
// own text.

#include <mpi.h>

#include <source_location>

#include "baton/base/handle.hpp"

namespace baton::comm {

/// Throws kCommunication unless `status` is MPI_SUCCESS.
void check_mpi(int status,
               const char* expression,
               std::source_location place = std::source_location::current());

/// kCommunication unless `provided` is MPI_THREAD_MULTIPLE: control messages come from other
/// threads while the main thread waits in a collective.
void check_thread_level(int provided);

/// Frees a communicator; collective by MPI's rules, so owners call reset() only in their close().
struct FreeMpiCommunicator {
  void operator()(MPI_Comm communicator) const noexcept;
};
using MpiCommHandle = base::Handle<MPI_Comm, FreeMpiCommunicator>;

struct FreeMpiType {
  void operator()(MPI_Datatype type) const noexcept;
};
using MpiTypeHandle = base::Handle<MPI_Datatype, FreeMpiType>;

/// A duplicate of `parent` that returns errors. Collective over `parent`.
MpiCommHandle duplicate(MPI_Comm parent);

/// Whether MPI calls are allowed now.
bool mpi_is_running() noexcept;

}  // namespace baton::comm

#define BATON_MPI(call) ::baton::comm::check_mpi((call), #call)
