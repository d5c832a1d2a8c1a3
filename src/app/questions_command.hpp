#pragma once
// `baton eval --questions DIR`: what training cost in general ability, and how many foreign queries the
// chain leaves to the base. Questions with choices, answered by likelihood (eval/choices.hpp).

#include "baton/comm/process_world.hpp"
#include "baton/config/cli.hpp"

namespace baton::app {

int run_questions(const config::Command& command, comm::ProcessWorld& world);

}  // namespace baton::app
