#pragma once
// How the ranks of the world leave a phase together that can fail on the user's input: every rank
// throws the same AgreedError at the same place, so the world can end in an orderly way.

#include <functional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/comm/share.hpp"

namespace baton::work {

/// An error that every rank of the world throws.
class AgreedError : public base::Error {
 public:
  explicit AgreedError(const base::Error& error) : base::Error(error) {}
};

/// The world is a group, but nobody is left outside who does not know of its error. One of the
/// communication may not have reached everybody.
template <typename Work>
auto agreed_by_the_world(Work&& work) {
  try {
    return work();
  } catch (const comm::GroupError& error) {
    if (error.kind() == base::ErrorKind::kCommunication) {
      throw;
    }
    throw AgreedError(error);
  }
}

/// Collective: runs `work` on every rank; an error on any is an AgreedError on all.
inline void together(comm::ProcessWorld& world, const std::function<void()>& work) {
  agreed_by_the_world([&] { comm::together(world.everyone(), work); });
}

/// Collective: rank 0 makes it, all get it. Its error is an AgreedError on every rank.
template <typename Make>
auto from_leader(comm::ProcessWorld& world, Make&& make) {
  return agreed_by_the_world([&] { return comm::from_leader(world.everyone(), make); });
}

}  // namespace baton::work
