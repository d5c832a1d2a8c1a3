#pragma once
// What every backend checks of the buffers it is given, before it communicates.

#include "baton/comm/communicator.hpp"

namespace baton::comm {

/// Refuses, in words, GPU memory where a backend moves host memory only.
void check_host_buffer(const FloatBuffer& buffer, const char* operation, const char* backend);

/// received holds `size` times mine.
void check_gather_sizes(const FloatBuffer& mine, const FloatBuffer& received, int size);

}  // namespace baton::comm
