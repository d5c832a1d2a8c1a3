#pragma once
// CUDA and NCCL status -> Error, in every build, and the owners of their handles. For
// nccl_communicator.cpp alone.

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <source_location>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/handle.hpp"

namespace baton::comm {

struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
};
/// Abort never waits for peers, destroy may: an owner that is simply dropped aborts.
struct AbortNccl {
  void operator()(ncclComm_t communicator) const noexcept { ncclCommAbort(communicator); }
};
using StreamHandle = base::Handle<cudaStream_t, DestroyStream>;
using EventHandle = base::Handle<cudaEvent_t, DestroyEvent>;
using NcclHandle = base::Handle<ncclComm_t, AbortNccl>;

inline base::Error library_error(const char* library,
                                 const char* expression,
                                 const std::string& text,
                                 std::source_location place) {
  return {base::ErrorKind::kCommunication,
          fmt::format("{} call failed", library),
          {.where = fmt::format("{} at {}:{}", expression, place.file_name(), place.line()),
           .found = text,
           .fix = "run with NCCL_DEBUG=INFO to see NCCL's own account; finished work is kept"}};
}

/// NCCL's two texts: what the status means, and what `communicator` (may be null) met last.
inline std::string nccl_text(ncclResult_t status, ncclComm_t communicator) {
  const char* last = ncclGetLastError(communicator);
  const std::string meaning = ncclGetErrorString(status);
  return last == nullptr || *last == '\0' ? meaning : meaning + "; " + last;
}

inline void check_cuda(cudaError_t status,
                       const char* expression,
                       std::source_location place = std::source_location::current()) {
  if (status != cudaSuccess) {
    throw library_error("a CUDA", expression, cudaGetErrorString(status), place);
  }
}

/// "In progress" is the usual answer of a communicator that does not block.
inline void check_nccl(ncclResult_t status,
                       ncclComm_t communicator,
                       const char* expression,
                       std::source_location place = std::source_location::current()) {
  if (status != ncclSuccess && status != ncclInProgress) {
    throw library_error("an NCCL", expression, nccl_text(status, communicator), place);
  }
}

}  // namespace baton::comm

#define BATON_CUDA_CHECK(call) ::baton::comm::check_cuda((call), #call)
#define BATON_NCCL_CHECK(call, communicator) \
  ::baton::comm::check_nccl((call), (communicator), #call)
