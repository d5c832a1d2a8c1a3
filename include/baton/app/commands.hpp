#pragma once
// The commands behind main's dispatch. Each returns the process's exit code. A command that works
// in a world brings errors of its phases together with app::together, so that every rank throws the
// same AgreedError at the same place and the world can end in an orderly way; any other exception
// that reaches main in a world of several ranks ends all of them at once.

#include <functional>

#include "baton/base/error.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/config/cli.hpp"

namespace baton::app {

/// An error that every rank of the world throws.
class AgreedError : public base::Error {
 public:
  explicit AgreedError(const base::Error& error) : base::Error(error) {}
};

/// Collective: world.together(work) whose shared error is marked as such.
void together(comm::ProcessWorld& world, const std::function<void()>& work);

int run_train(const config::Command& command, comm::ProcessWorld& world);
int run_eval(const config::Command& command, comm::ProcessWorld& world);
int run_ask(const config::Command& command);
int run_plan_command(const config::Command& command);

}  // namespace baton::app
