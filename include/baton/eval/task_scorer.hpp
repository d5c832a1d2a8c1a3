#pragma once
// The scorer of a task: the one its entry names, else the usual one, with the labels that accuracy
// chooses among. Whether it fits the rows is found here, before anything is decoded.

#include <memory>
#include <string>

#include "baton/data/example.hpp"
#include "baton/metrics/metric.hpp"

namespace baton::eval {

/// Labels are those of the entry, else the answers and options of the rows in hand. An eval row
/// that the scorer cannot score against, and labels that cannot be told apart: kData.
std::shared_ptr<const metrics::Scorer> scorer_of(const data::TaskData& task,
                                                 const std::string& usual_metric);

}  // namespace baton::eval
