#include "baton/comm/agree.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "agreement.hpp"

namespace baton::comm {

bool agree_or_stop(Communicator& group, const std::optional<base::Error>& mine, bool wants_stop) {
  if (group.size() == 1) {
    if (mine) {
      throw GroupError(*mine);
    }
    return wants_stop;
  }
  constexpr std::int64_t kStop = 1;
  constexpr std::int64_t kFailure = 2;
  const std::int64_t worst = group.all_reduce_max(mine ? kFailure : wants_stop ? kStop : 0);
  if (worst < kFailure) {
    return worst == kStop;
  }
  const std::vector<std::string> all = group.all_gather_bytes(mine ? error_to_bytes(*mine) : "");
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].empty()) {
      throw GroupError(error_from_bytes(all[rank], static_cast<int>(rank)));
    }
  }
  BATON_ASSERT(false, std::string("an error was announced and none was sent"));
}

void agree(Communicator& group, const std::optional<base::Error>& mine) {
  agree_or_stop(group, mine, false);
}

void together(Communicator& group, const std::function<void()>& work) {
  std::optional<base::Error> mine;
  try {
    work();
  } catch (...) {
    mine = base::current_error();
  }
  agree(group, mine);
}

}  // namespace baton::comm
