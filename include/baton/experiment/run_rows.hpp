#pragma once
// The rows of a run as rank 0 read them, for the other ranks: nobody else touches the task files.

#include <string>
#include <vector>

#include "baton/experiment/expert_rows.hpp"

namespace baton::experiment {

struct RunRows {
  std::vector<data::Example> general;
  std::vector<TaskRows> tasks;
};

std::string to_bytes(const RunRows& rows);
RunRows run_rows_from(const std::string& bytes);

}  // namespace baton::experiment
