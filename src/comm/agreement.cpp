#include "agreement.hpp"

#include <fmt/format.h>

#include "baton/base/utf8.hpp"
#include "baton/base/wire.hpp"

namespace baton::comm {
namespace {

struct SentError {
  base::ErrorKind kind = base::ErrorKind::kInternal;
  std::string summary;
  base::ErrorDetails details;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("kind", self.kind);
    visit("summary", self.summary);
    visit("where", self.details.where);
    visit("expected", self.details.expected);
    visit("found", self.details.found);
    visit("fix", self.details.fix);
  }
};

}  // namespace

std::string error_to_bytes(const base::Error& error) {
  const base::ErrorDetails& details = error.details();
  return base::to_bytes(SentError{error.kind(),
                                  base::to_valid_utf8(error.summary()),
                                  {.where = base::to_valid_utf8(details.where),
                                   .expected = base::to_valid_utf8(details.expected),
                                   .found = base::to_valid_utf8(details.found),
                                   .fix = base::to_valid_utf8(details.fix)}});
}

base::Error error_from_bytes(const std::string& bytes, int found_by_rank) {
  const std::string rank = fmt::format("rank {}", found_by_rank);
  try {
    auto sent = base::from_bytes<SentError>(bytes, "the error of a rank");
    sent.details.where = sent.details.where.empty() ? rank : rank + ": " + sent.details.where;
    return base::Error(sent.kind, sent.summary, sent.details);
  } catch (const base::Error& unreadable) {
    return base::Error(base::ErrorKind::kInternal, "a rank failed and its error could not be read",
                       {.where = rank,
                        .expected = unreadable.details().expected,
                        .found = unreadable.details().found,
                        .fix = "run the same program on every rank"});
  }
}

GroupPlace find_place(const std::vector<std::vector<int>>& members,
                      int world_rank,
                      int world_size) {
  std::vector<bool> taken(static_cast<std::size_t>(world_size), false);
  GroupPlace place;
  for (std::size_t g = 0; g < members.size(); ++g) {
    BATON_ASSERT(!members[g].empty(), fmt::format("group {} is empty", g));
    for (std::size_t position = 0; position < members[g].size(); ++position) {
      const int member = members[g][position];
      BATON_ASSERT(member >= 0 && member < world_size,
                   fmt::format("rank {} of {}", member, world_size));
      BATON_ASSERT(!taken[static_cast<std::size_t>(member)],
                   fmt::format("rank {} is named twice", member));
      taken[static_cast<std::size_t>(member)] = true;
      if (member == world_rank) {
        place = {static_cast<int>(g), static_cast<int>(position)};
      }
    }
  }
  return place;
}

}  // namespace baton::comm
