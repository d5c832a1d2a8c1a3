#pragma once
// How the ranks of the world leave a phase together that can fail on the user's input: every rank
// throws the same AgreedError at the same place, so the world can end in an orderly way.

#include <functional>

#include "baton/base/error.hpp"
#include "baton/comm/process_world.hpp"

namespace baton::work {

/// An error that every rank of the world throws.
class AgreedError : public base::Error {
 public:
  explicit AgreedError(const base::Error& error) : base::Error(error) {}
};

/// Collective: world.together(work) whose shared error is marked as such.
void together(comm::ProcessWorld& world, const std::function<void()>& work);

}  // namespace baton::work
