#include "baton/base/stream_copy.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "baton/base/error.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace baton::base {

namespace {

constexpr std::size_t kLine = 16;    // floats of a cache line
constexpr std::size_t kPage = 1024;  // floats of a page
constexpr std::size_t kNumPages = 4;

#if defined(__SSE2__)
// A whole line at once, and past the caches.
void copy_line(const float* from, float* to) {
  const __m128 a = _mm_loadu_ps(from);
  const __m128 b = _mm_loadu_ps(from + 4);
  const __m128 c = _mm_loadu_ps(from + 8);
  const __m128 d = _mm_loadu_ps(from + 12);
  _mm_stream_ps(to, a);
  _mm_stream_ps(to + 4, b);
  _mm_stream_ps(to + 8, c);
  _mm_stream_ps(to + 12, d);
}

// Several pages side by side: the processor fetches ahead within each, and their waits overlap.
void copy_pages(const float* from, float* to) {
  for (std::size_t i = 0; i < kPage; i += kLine) {
    for (std::size_t page = 0; page < kNumPages; ++page) {
      copy_line(from + page * kPage + i, to + page * kPage + i);
    }
  }
}

void end_of_stream() {
  _mm_sfence();
}  // before another thread is told
#else
void copy_pages(const float* from, float* to) {
  std::memcpy(to, from, kNumPages * kPage * sizeof(float));
}
void end_of_stream() {}
#endif

}  // namespace

void stream_copy(std::span<const float> from, std::span<float> to) {
  BATON_ASSERT(from.size() == to.size(),
               std::to_string(from.size()) + " into " + std::to_string(to.size()));
  const auto copy_plain = [&](std::size_t first, std::size_t last) {
    if (first < last) {
      std::memcpy(to.data() + first, from.data() + first, (last - first) * sizeof(float));
    }
  };
  const auto place = reinterpret_cast<std::uintptr_t>(to.data()) / sizeof(float);
  std::size_t done = std::min((kLine - place % kLine) % kLine, from.size());
  copy_plain(0, done);
  for (; done + kNumPages * kPage <= from.size(); done += kNumPages * kPage) {
    copy_pages(from.data() + done, to.data() + done);
  }
  end_of_stream();
  copy_plain(done, from.size());
}

}  // namespace baton::base
