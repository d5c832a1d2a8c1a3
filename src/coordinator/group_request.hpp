#pragma once
// What a plan is asked for, read and checked. Pure parts of make_group_plan.

#include <vector>

#include "baton/coordinator/group_plan.hpp"

namespace baton::coordinator {

/// World rank of the first rank that trains: 1 beside a dedicated coordinator, else 0.
int first_worker(const PlanRequest& request);
int num_workers(const PlanRequest& request);
/// node_of_rank of the workers only.
std::vector<int> nodes_of_workers(const PlanRequest& request);

/// The most ranks, up to `num_ranks`, that a group may have: in the fast mode they divide the
/// batch.
int largest_group_size(const PlanRequest& request, int num_ranks);

/// kUsage as make_group_plan promises; costs that are no numbers are an assertion.
void check_plan_request(const PlanRequest& request);

}  // namespace baton::coordinator
