#pragma once
// Rehearsal buffers that are chosen by what the frozen base makes of a task's rows: the rows' prompts
// are read by all ranks together, before anything of the run is written. A buffer that the run has
// already, chosen from the same rows with the same settings, is kept without reading anything.

#include "baton/comm/communicator.hpp"
#include "baton/config/config.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/experiment/run_start.hpp"
#include "baton/experiment/workspace.hpp"

namespace baton::experiment {

struct BufferChoice {
  const config::Config& config;
  const Workspace& workspace;
  const data::RowEncoder& encoder;
  RunStart* start = nullptr;  // on rank 0
};

/// Collective over `group`, before RunStart::read_rows. Nothing to do for a method that keeps no
/// buffers or draws them at random. kStopped when rank 0 was asked to stop.
void choose_buffers(const BufferChoice& choice, comm::Communicator& group);

}  // namespace baton::experiment
