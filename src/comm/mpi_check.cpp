#include "mpi_check.hpp"

#include <fmt/format.h>

#include <array>
#include <string>

#include "baton/base/error.hpp"

namespace baton::comm {

void check_mpi(int status, const char* expression, std::source_location place) {
  if (status == MPI_SUCCESS) {
    return;
  }
  std::array<char, MPI_MAX_ERROR_STRING + 1> text{};
  int length = 0;
  const bool known = MPI_Error_string(status, text.data(), &length) == MPI_SUCCESS;
  throw base::Error(
      base::ErrorKind::kCommunication, "an MPI call failed",
      {.where = fmt::format("{} at {}:{}", expression, place.file_name(), place.line()),
       .expected = "MPI_SUCCESS",
       .found = known ? fmt::format("status {}: {}", status, text.data())
                      : fmt::format("status {}", status),
       .fix = "look at the other ranks' last lines; start the job again, finished work is kept"});
}

void check_thread_level(int provided) {
  if (provided == MPI_THREAD_MULTIPLE) {
    return;
  }
  const char* name = provided == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                     : provided == MPI_THREAD_FUNNELED ? "MPI_THREAD_FUNNELED"
                                                       : "MPI_THREAD_SINGLE";
  throw base::Error(base::ErrorKind::kCommunication,
                    "this MPI does not work with several threads at once",
                    {.where = "the start of MPI",
                     .expected = "MPI_THREAD_MULTIPLE",
                     .found = name,
                     .fix = "use an MPI that was built with thread support (ompi_info shows "
                            "\"MPI_THREAD_MULTIPLE: yes\")"});
}

void FreeMpiCommunicator::operator()(MPI_Comm communicator) const noexcept {
  if (mpi_is_running()) {
    MPI_Comm_free(&communicator);
  }
}

void FreeMpiType::operator()(MPI_Datatype type) const noexcept {
  if (mpi_is_running()) {
    MPI_Type_free(&type);
  }
}

MpiCommHandle duplicate(MPI_Comm parent) {
  MPI_Comm copy = MPI_COMM_NULL;
  BATON_MPI(MPI_Comm_dup(parent, &copy));
  MpiCommHandle handle(copy);
  BATON_MPI(MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN));
  return handle;
}

bool mpi_is_running() noexcept {
  int started = 0;
  int ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  return started != 0 && ended == 0;
}

}  // namespace baton::comm
