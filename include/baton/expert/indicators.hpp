#pragma once
// The two words by which an expert says whether a query is its own: the tokens that open its
// targets.

#include <cstdint>

namespace baton::expert {

struct Indicators {
  std::int64_t accept = -1;
  std::int64_t pass = -1;
};

}  // namespace baton::expert
