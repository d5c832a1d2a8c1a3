#pragma once
// What one rank knows and all must: values with fields (base/wire.hpp) instead of byte strings.
// Collective over the group, as everything here.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/wire.hpp"
#include "baton/comm/agree.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::comm {

inline constexpr const char* kSharedValue = "what a rank told the others";

/// The value of group rank 0; the others' own is not looked at.
template <typename T>
T value_of_leader(Communicator& group, T mine) {
  if (group.size() == 1) {
    return mine;
  }
  const bool leads = group.rank() == 0;
  const std::string bytes = group.broadcast_bytes(leads ? base::to_bytes(mine) : std::string(), 0);
  return leads ? std::move(mine) : base::from_bytes<T>(bytes, kSharedValue);
}

/// Group rank 0 makes it, all get it. Its error is a GroupError on every rank.
template <typename Make>
auto from_leader(Communicator& group, Make&& make) {
  using T = decltype(make());
  std::optional<T> made;
  together(group, [&] {
    if (group.rank() == 0) {
      made.emplace(make());
    }
  });
  return value_of_leader(group, made ? std::move(*made) : T{});
}

/// One value a rank, in rank order, on every rank.
template <typename T>
std::vector<T> from_all(Communicator& group, const T& mine) {
  std::vector<T> all;
  for (const std::string& bytes : group.all_gather_bytes(base::to_bytes(mine))) {
    all.push_back(base::from_bytes<T>(bytes, kSharedValue));
  }
  return all;
}

}  // namespace baton::comm
