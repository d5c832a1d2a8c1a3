#pragma once
// What the base model of a run looks like, without loading it: experts are held against it by
// commands that need no model.

#include <optional>

#include "baton/expert/check.hpp"
#include "baton/run/run_record.hpp"

namespace baton::run {

/// From the config.json of the folder that the run's settings name; nothing where that cannot be
/// read, for a run may lie on another machine than its base.
std::optional<expert::BaseSizes> base_sizes_of(const RunRecord& record);

}  // namespace baton::run
