#include <exception>
#include <optional>

#include "baton/work/agreed.hpp"

namespace baton::work {

void together(comm::ProcessWorld& world, const std::function<void()>& work) {
  std::optional<base::Error> mine;
  try {
    work();
  } catch (...) {
    mine = base::current_error();
  }
  // What agree itself finds (a lost rank) is not known to everybody; what a rank brought is.
  try {
    world.agree(mine);
  } catch (const base::Error& error) {
    if (error.kind() == base::ErrorKind::kCommunication) {
      throw;
    }
    throw AgreedError(error);
  }
}

}  // namespace baton::work
