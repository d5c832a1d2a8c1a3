#include "baton/base/stream_copy.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace baton::base {
namespace {

// Every size around a line and around the pages that go together, at every place within a line.
TEST(StreamCopy, CopiesThisAndNothingElse) {
  constexpr std::size_t kMargin = 32;
  std::vector<float> source(40'000);
  std::iota(source.begin(), source.end(), 1.0F);
  for (const std::size_t size :
       std::vector<std::size_t>{0, 1, 15, 16, 17, 4095, 4096, 4097, 4111, 4112, 8207, 20'001}) {
    for (std::size_t shift = 0; shift < 17; ++shift) {
      std::vector<float> target(size + 2 * kMargin, -1.0F);
      const std::span<const float> from(source.data() + (shift * 7) % 5, size);
      stream_copy(from, std::span(target).subspan(shift, size));
      std::vector<float> expected(target.size(), -1.0F);
      std::copy(from.begin(), from.end(), expected.begin() + static_cast<std::ptrdiff_t>(shift));
      ASSERT_EQ(target, expected) << size << " floats, shifted by " << shift;
    }
  }
}

}  // namespace
}  // namespace baton::base
