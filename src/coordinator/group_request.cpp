#include "group_request.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "baton/base/error.hpp"

namespace baton::coordinator {
namespace {

std::string ranks_text(int num_ranks) {
  return fmt::format("{} rank{}", num_ranks, num_ranks == 1 ? "" : "s");
}

class Checker {
 public:
  explicit Checker(const PlanRequest& request)
      : request_(request), workers_(num_workers(request)) {}

  void check() const {
    check_coordinator();
    check_wishes();
    check_batch();
  }

 private:
  [[noreturn]] void refuse(const std::string& found, const std::string& fix) const {
    throw base::Error(
        base::ErrorKind::kUsage, "the ranks cannot form the groups asked for",
        {.where = "cluster.groups, cluster.ranks_per_group",
         .expected =
             fmt::format("groups x ranks_per_group of at most {}{}", ranks_text(workers_),
                         first_worker(request_) > 0 ? " (all but the dedicated coordinator)" : ""),
         .found = found,
         .fix = fix});
  }

  /// As many ranks as must be started for so many workers.
  std::string start(std::int64_t workers) const {
    return fmt::format("start {} ranks", workers + first_worker(request_));
  }

  void check_coordinator() const {
    if (workers_ < 1) {
      throw base::Error(base::ErrorKind::kUsage, "a dedicated coordinator leaves no rank to train",
                        {.where = "cluster.coordinator",
                         .expected = "at least 2 ranks with coordinator = dedicated",
                         .found = ranks_text(static_cast<int>(request_.node_of_rank.size())),
                         .fix = "start 2 ranks or more, or use coordinator = shared"});
    }
  }

  void check_wishes() const {
    const auto& groups = request_.groups;
    const auto& size = request_.ranks_per_group;
    const auto text = [](const std::optional<int>& wish) {
      return wish ? std::to_string(*wish) : "auto";
    };
    if ((groups && *groups < 1) || (size && *size < 1)) {
      refuse(fmt::format("groups = {}, ranks_per_group = {}", text(groups), text(size)),
             "give numbers from 1 on, or auto");
    }
    if (groups && *groups > workers_) {
      refuse(fmt::format("groups = {}", *groups),
             fmt::format("use groups = {} or less, or {}", workers_, start(*groups)));
    }
    if (size && *size > workers_) {
      refuse(fmt::format("ranks_per_group = {}", *size),
             fmt::format("use ranks_per_group = {} or less, or {}", workers_, start(*size)));
    }
    if (groups && size && std::int64_t{*groups} * *size > workers_) {
      const std::int64_t needed = std::int64_t{*groups} * *size;
      refuse(fmt::format("{} groups of {} need {}", *groups, ranks_text(*size), needed),
             fmt::format("use groups = {} with ranks_per_group = {}, or groups = {} with "
                         "ranks_per_group = {}, or {}",
                         workers_ / *size, *size, *groups, workers_ / *groups, start(needed)));
    }
  }

  void check_batch() const {
    if (!request_.ranks_per_group) {
      return;
    }
    const int size = *request_.ranks_per_group;
    const int below = largest_group_size(request_, size);
    if (below == size) {
      return;
    }
    int above = size + 1;
    while (above <= workers_ && largest_group_size(request_, above) != above) {
      ++above;
    }
    const std::string or_above = above <= workers_ ? fmt::format(" or {}", above) : "";
    throw base::Error(
        base::ErrorKind::kUsage, "the ranks of a group cannot share an update's rows evenly",
        {.where = "cluster.ranks_per_group, train.train_batch_size",
         .expected = fmt::format("a size that divides train_batch_size = {}, as "
                                 "deterministic = false needs",
                                 request_.train_batch_size),
         .found = fmt::format("ranks_per_group = {}", size),
         .fix = fmt::format("use ranks_per_group = {}{}, another train_batch_size, or "
                            "deterministic = true",
                            below, or_above)});
  }

  const PlanRequest& request_;
  int workers_;
};

}  // namespace

int first_worker(const PlanRequest& request) {
  return request.has_dedicated_coordinator ? 1 : 0;
}

int num_workers(const PlanRequest& request) {
  return static_cast<int>(request.node_of_rank.size()) - first_worker(request);
}

std::vector<int> nodes_of_workers(const PlanRequest& request) {
  return {request.node_of_rank.begin() + first_worker(request), request.node_of_rank.end()};
}

int largest_group_size(const PlanRequest& request, int num_ranks) {
  if (request.is_deterministic || request.train_batch_size <= 0) {
    return num_ranks;
  }
  int size = num_ranks;
  while (request.train_batch_size % size != 0) {
    --size;
  }
  return size;
}

void check_plan_request(const PlanRequest& request) {
  BATON_ASSERT(!request.node_of_rank.empty(), std::string("a plan for no ranks"));
  for (const ExpertCost& expert : request.experts) {
    BATON_ASSERT(std::isfinite(expert.token_steps) && expert.token_steps >= 0,
                 fmt::format("cost {} of {}", expert.token_steps, expert.name));
  }
  Checker(request).check();
}

}  // namespace baton::coordinator
