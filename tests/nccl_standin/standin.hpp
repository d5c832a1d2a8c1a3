#pragma once
// What the two stand-ins (CUDA runtime, NCCL) share: the log of calls and the faults asked for by
// the environment. They let the real sources of the GPU backend run on a machine without a GPU:
// "GPU memory" is host memory, a stream is a thread that runs what is queued in order. Read at each
// call:
//   STANDIN_LOG             a file that gets one line a call: "r1 ncclCommAbort", or
//   "cudaStreamDestroy ..." STANDIN_GPUS            GPUs shown to this process (default 8)
//   STANDIN_FIRST_GPU       the machine's number of the first one shown (default 0)
//   STANDIN_CUDA_FAILS      name of a CUDA call that fails
//   STANDIN_NCCL_VERSION    the version code that the library tells
//   STANDIN_NCCL_INIT       refuse: an error at once; error: an asynchronous one; never: no end
//   STANDIN_NCCL_OPERATION  refuse:N, error:N or never:N: what the N-th operation of a communicator
//   does STANDIN_NCCL_FINALIZE   never: no end STANDIN_NCCL_RANK       the only rank that the
//   faults hit (default: all)

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace standin {

std::string setting(const char* name, const std::string& otherwise = "");
int number(const char* name, int otherwise);

/// Appends a line to the log, if there is one.
void log(const std::string& line);

/// Runs `work` on a stream after everything queued there.
void queue_on(void* stream, std::function<void()> work);

/// Whether this is a stream that was created and not destroyed (or the default stream).
bool is_live_stream(void* stream);

/// Told by the NCCL stand-in: `communicator` works on `stream`; it has ended. A stream that is
/// destroyed under a communicator that has not ended is in the log as a mistake of the caller.
void tie(const void* communicator, void* stream);
void untie(const void* communicator);

}  // namespace standin
