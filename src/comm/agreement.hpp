#pragma once
// The pure parts of ProcessWorld: errors as bytes, and where a rank stands in a list of groups.

#include <string>
#include <vector>

#include "baton/base/error.hpp"

namespace baton::comm {

/// What is not UTF-8 is replaced.
std::string error_to_bytes(const base::Error& error);

/// The error with "rank R" put before its place.
base::Error error_from_bytes(const std::string& bytes, int found_by_rank);

struct GroupPlace {
  int group_index = -1;  // -1: in no group
  int position = 0;      // within the group
};

/// Ranks outside the world, named twice, and empty groups are our own mistakes.
GroupPlace find_place(const std::vector<std::vector<int>>& members, int world_rank, int world_size);

}  // namespace baton::comm
