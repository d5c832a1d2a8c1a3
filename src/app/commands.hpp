#pragma once
// The commands behind main's dispatch. Each returns the process's exit code. A command that works
// in a world brings errors of its phases together with work::together, so that every rank throws
// the same AgreedError at the same place and the world can end in an orderly way; any other
// exception that reaches main in a world of several ranks ends all of them at once.

#include "baton/comm/process_world.hpp"
#include "baton/config/cli.hpp"
#include "baton/work/agreed.hpp"

namespace baton::app {

int run_train(const config::Command& command, comm::ProcessWorld& world);
int run_eval(const config::Command& command, comm::ProcessWorld& world);
int run_ask(const config::Command& command);
int run_plan_command(const config::Command& command);

}  // namespace baton::app
