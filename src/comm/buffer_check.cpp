#include "buffer_check.hpp"

#include <fmt/format.h>

#include <utility>

#include "baton/base/error.hpp"

namespace baton::comm {

void check_host_buffer(const FloatBuffer& buffer, const char* operation, const char* backend) {
  BATON_ASSERT(buffer.data != nullptr || buffer.count == 0,
               fmt::format("null buffer of {}", buffer.count));
  if (buffer.on_gpu) {
    throw base::Error(base::ErrorKind::kCommunication,
                      fmt::format("the {} backend moves host memory only", backend),
                      {.where = operation,
                       .expected = "a buffer in host memory",
                       .found = fmt::format("{} values in GPU memory", buffer.count),
                       .fix = "use backend = nccl, or copy the values to the host first"});
  }
}

void check_gather_sizes(const FloatBuffer& mine, const FloatBuffer& received, int size) {
  BATON_ASSERT(
      std::cmp_greater(size, 0) && received.count == mine.count * static_cast<std::size_t>(size),
      fmt::format("{} values gathered from {} ranks into {}", mine.count, size, received.count));
}

}  // namespace baton::comm
