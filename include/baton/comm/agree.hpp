#pragma once
// How the ranks of one group enter a phase together after a part that may throw: all go on, or all
// throw the same error. ProcessWorld has the same for the whole world.

#include <functional>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::comm {

/// An error that every rank of a group throws at the same place: the group is whole and can go on
/// to other work.
class GroupError : public base::Error {
 public:
  using base::Error::Error;
  explicit GroupError(const base::Error& error) : base::Error(error) {}
};

/// Collective: if any rank brings an error, every rank throws the error of the lowest such rank as
/// a GroupError; its place names the rank of the group.
void agree(Communicator& group, const std::optional<base::Error>& mine);

/// Collective: as agree, and also tells whether any rank asks to stop; an error goes before it.
bool agree_or_stop(Communicator& group, const std::optional<base::Error>& mine, bool wants_stop);

/// Collective: runs `work` and then agrees.
void together(Communicator& group, const std::function<void()>& work);

}  // namespace baton::comm
