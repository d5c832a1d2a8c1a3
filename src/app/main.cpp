// The program: command line, world, dispatch, and the one place where every error ends up.

#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/config/cli.hpp"
#include "baton/doctor/doctor.hpp"
#include "baton/work/stop_signal.hpp"
#include "calibrate_command.hpp"
#include "commands.hpp"
#include "export_command.hpp"
#include "inspect_command.hpp"
#include "report_command.hpp"
#include "sweep_command.hpp"
#include "tokenize_command.hpp"

namespace {

using baton::base::Error;
using baton::base::ErrorKind;
using baton::config::Command;
using baton::config::Verb;

int run_alone(const Command& command) {
  switch (command.verb) {
    case Verb::kHelp:
    case Verb::kVersion:
      std::cout << command.text;
      return 0;
    case Verb::kAsk:
      return baton::app::run_ask(command);
    case Verb::kPlan:
      return baton::app::run_plan_command(command);
    case Verb::kInspect:
      return baton::app::run_inspect(command.path, command.as_json, std::cout);
    case Verb::kExport:
      return baton::app::run_export(command.run, command.expert, command.out);
    case Verb::kCalibrate:
      return baton::app::run_calibrate(command.run, command.target);
    case Verb::kReport:
      return baton::app::run_report(command.runs, command.out);
    case Verb::kTokenize:
      return baton::app::run_tokenize(command.model, std::cin, std::cout);
    case Verb::kTrain:
    case Verb::kEval:
    case Verb::kSweep:
    case Verb::kDoctor:
      break;
  }
  baton::base::fail_assertion("a command without a world", baton::config::verb_name(command.verb));
}

int report(const Error& error) {
  baton::base::log(baton::base::LogLevel::kError, "main", error.what());
  return baton::base::exit_code(error.kind());
}

int run_in_world(const Command& command, baton::comm::ProcessWorld& world) {
  try {
    const auto run = command.verb == Verb::kTrain   ? baton::app::run_train
                     : command.verb == Verb::kSweep ? baton::app::run_sweep
                                                    : baton::app::run_eval;
    const int code = run(command, world);
    world.close();
    return code;
  } catch (const baton::work::AgreedError& error) {
    const int code = baton::base::exit_code(error.kind());
    if (world.rank() == 0) {
      report(error);
    }
    world.close();
    return code;
  } catch (...) {
    const int code = report(baton::base::current_error());
    if (world.size() > 1) {
      world.abort(code);  // the others may be waiting for this rank
    }
    return code;
  }
}

/// A command line that is wrong is wrong on every rank: one of them says so.
int report_usage(const Error& error, int argc, char** argv) {
  if (baton::comm::launch_facts().announced_size <= 1) {
    return report(error);
  }
  baton::comm::ProcessWorld world(&argc, &argv);
  baton::base::set_log_identity(world.rank(), world.size());
  const int code = world.rank() == 0 ? report(error) : baton::base::exit_code(error.kind());
  world.close();
  return code;
}

int run(int argc, char** argv) {
  std::optional<Command> command;
  try {
    command = baton::config::parse_command(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const Error& error) {
    return report_usage(error, argc, argv);
  }
  if (command->verb == Verb::kDoctor) {
    return baton::doctor::run_doctor(*command, &argc, &argv);
  }
  if (command->verb != Verb::kTrain && command->verb != Verb::kEval &&
      command->verb != Verb::kSweep) {
    return run_alone(*command);
  }
  baton::work::install_stop_signals();  // a signal while the world meets is seen, too
  baton::comm::ProcessWorld world(&argc, &argv);
  baton::base::set_log_identity(world.rank(), world.size());
  // Rank 0 speaks for all; a group's leader for its expert, while it trains.
  if (world.rank() != 0) {
    baton::base::set_log_level(baton::base::LogLevel::kError);
  }
  baton::work::install_stop_signals();  // MPI's start may have set its own
  return run_in_world(*command, world);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int code = run(argc, argv);
    std::cout.flush();
    if (!std::cout) {
      throw Error(ErrorKind::kStorage, "the output could not be written",
                  {.where = "stdout", .expected = "", .found = "", .fix = "is the disk full?"});
    }
    return code;
  } catch (...) {
    return report(baton::base::current_error());
  }
}
