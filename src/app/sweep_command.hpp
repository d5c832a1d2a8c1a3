#pragma once
// `baton sweep`: one config by several methods, seeds and task orders. Each run has a folder of its
// own and is trained and evaluated by one team of ranks; the teams take the next run from one queue.
// What is done stays done, so the same command goes on where it stopped.

#include "baton/comm/process_world.hpp"
#include "baton/config/cli.hpp"

namespace baton::app {

int run_sweep(const config::Command& command, comm::ProcessWorld& world);

}  // namespace baton::app
