#include "sweep_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/comm/share.hpp"
#include "baton/experiment/finished_evaluation.hpp"
#include "baton/method/method.hpp"
#include "baton/run/run_record.hpp"
#include "baton/work/run_session.hpp"
#include "baton/work/work_loop.hpp"
#include "commands.hpp"
#include "sweep_plan.hpp"
#include "sweep_table.hpp"

namespace baton::app {

namespace {

// While it lives what this process says goes into a file; say() still reaches the screen.
class SpeakInto {
 public:
  explicit SpeakInto(const std::filesystem::path& file) {
    flush();
    const int log = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) {
      throw base::Error(base::ErrorKind::kStorage, "a run's log cannot be written",
                        {.where = file.string(), .fix = "check space and permissions"});
    }
    before_ = {::dup(STDOUT_FILENO), ::dup(STDERR_FILENO)};
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::close(log);
  }
  ~SpeakInto() {
    flush();
    ::dup2(before_[0], STDOUT_FILENO);
    ::dup2(before_[1], STDERR_FILENO);
    ::close(before_[0]);
    ::close(before_[1]);
  }
  SpeakInto(const SpeakInto&) = delete;
  SpeakInto& operator=(const SpeakInto&) = delete;

 private:
  static void flush() {
    std::cout.flush();
    std::cerr.flush();
    std::fflush(nullptr);
  }
  std::array<int, 2> before_{};
};

class Sweep {
 public:
  Sweep(const config::Command& command, comm::ProcessWorld& world)
      : command_(command), world_(world), session_(world, "sweep"), screen_(::dup(STDERR_FILENO)) {}
  ~Sweep() { ::close(screen_); }
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  int run() {
    world_.check_same_build(base::build_identity(config::version()));
    work::together(world_, [this] {
      runs_ = plan_sweep(command_);
      root_ = runs_.front().folder.parent_path();
      if (leads()) {
        base::make_directories(root_ / "logs");
      }
    });
    const std::vector<std::vector<int>> teams = make_teams();
    if (leads()) {
      say(fmt::format("{} runs by {} teams of ranks; what each says is in {}/logs", runs_.size(),
                      teams.size(), root_.string()));
    }
    const work::WorkOutcome outcome = work_through(teams);
    work::together(world_, [&] {
      if (leads()) {
        finish();
      }
    });
    return code_of(outcome);
  }

 private:
  bool leads() const { return world_.rank() == 0; }

  void say(const std::string& line) const { ::dprintf(screen_, "%s\n", line.c_str()); }

  // As many teams as there are runs to share out, of neighbouring ranks.
  std::vector<std::vector<int>> make_teams() const {
    const int size = world_.size();
    const int num_teams = std::min<int>(size, static_cast<int>(runs_.size()));
    std::vector<std::vector<int>> teams(static_cast<std::size_t>(num_teams));
    for (int rank = 0; rank < size; ++rank) {
      teams[static_cast<std::size_t>(rank * num_teams / size)].push_back(rank);
    }
    return teams;
  }

  work::WorkOutcome work_through(const std::vector<std::vector<int>>& teams) {
    work::WorkRequest request;
    request.groups = teams;
    for (const SweepRun& run : runs_) {
      // Longest first is a guess: trainings, and the evaluation.
      const auto num_learners =
          method::make_method(run.config)->learners(run.config.data.tasks.size()).size();
      request.items.push_back({run.name, static_cast<double>(num_learners + 1), 0, {}});
    }
    request.run_item = [this](int item, int, comm::Communicator& group, work::ItemContext&) {
      return run_one(runs_[static_cast<std::size_t>(item)], group);
    };
    request.on_event = [this](const coordinator::Event& event) { tell(event); };
    const std::unique_ptr<comm::Communicator> group = world_.split(teams);
    team_ = world_.split_world(teams);
    work::WorkOutcome outcome =
        work::run_work(world_, group.get(), work::group_index_of(teams, world_.rank()), request,
                       session_.stop_watcher(), heartbeat_);
    team_->close();
    group->close();
    return outcome;
  }

  // Train and evaluate as the commands would. Whole runs stay as they are.
  work::ItemResult run_one(const SweepRun& run, comm::Communicator& group) {
    const SpeakInto log(root_ / "logs" / (run.name + ".log"));
    std::optional<base::LogLevelScope> speaks;
    if (group.rank() == 0) {
      speaks.emplace(base::LogLevel::kInfo);
    }
    const int stopped = base::exit_code(base::ErrorKind::kStopped);
    work::ItemResult result;
    try {
      int code = run_train(run.train, *team_);
      if (code == 0 && !is_evaluated(run, group)) {
        code = run_eval(run.eval, *team_);
      }
      result.stopped = code == stopped;
    } catch (const work::AgreedError& error) {
      if (error.kind() != base::ErrorKind::kStopped) {
        throw comm::GroupError(error);
      }
      result.stopped = true;
    }
    return result;
  }

  // By this config, after the last of its experts was made.
  bool is_evaluated(const SweepRun& run, comm::Communicator& group) const {
    return comm::from_leader(group, [&run] {
      return experiment::is_evaluated(run::RunFolder::load(run.folder), run.config);
    });
  }

  // On rank 0, in the coordinator's thread.
  void tell(const coordinator::Event& event) {
    if (const auto* started = std::get_if<coordinator::ItemStarted>(&event)) {
      say(fmt::format("{}: to team {}", name_of(started->item), started->group));
    } else if (const auto* finished = std::get_if<coordinator::ItemFinished>(&event)) {
      ++num_done_;
      say(fmt::format("{}: done, {} of {}", name_of(finished->item), num_done_, runs_.size()));
    } else if (const auto* failed = std::get_if<coordinator::ItemFailed>(&event)) {
      say(fmt::format("{}: failed{}: {}", name_of(failed->item),
                      failed->will_retry ? ", it will be tried again" : "", failed->text));
    }
  }

  const std::string& name_of(int item) const { return runs_[static_cast<std::size_t>(item)].name; }

  void finish() const {
    base::write_file_atomically(root_ / "sweep.json", sweep_json(runs_).dump(1) + "\n");
    std::cout << sweep_table(runs_)
              << "\nmean +- standard deviation over the seeds; files: " << root_.string()
              << "/sweep.json\n"
              << std::flush;
  }

  int code_of(const work::WorkOutcome& outcome) const {
    if (!outcome.failures.empty()) {
      throw work::AgreedError(base::Error(
          outcome.failures.front().kind,
          fmt::format("{} of {} runs are missing", outcome.missing.size(), runs_.size()),
          {.where = name_of(outcome.failures.front().item),
           .found = outcome.failures.front().text,
           .fix = "mend the cause and run the same command again: what is done stays"}));
    }
    if (outcome.missing.empty()) {
      return 0;
    }
    if (leads()) {
      say(
          fmt::format("asked to stop: {} of {} runs are still to be finished; run the same command "
                      "again",
                      outcome.missing.size(), runs_.size()));
    }
    return base::exit_code(base::ErrorKind::kStopped);
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  work::RunSession session_;
  work::Heartbeat heartbeat_;
  int screen_;  // a copy of stderr: runs speak into files
  std::vector<SweepRun> runs_;
  std::filesystem::path root_;
  std::unique_ptr<comm::ProcessWorld> team_;
  std::size_t num_done_ = 0;  // rank 0
};

}  // namespace

int run_sweep(const config::Command& command, comm::ProcessWorld& world) {
  return Sweep(command, world).run();
}

}  // namespace baton::app
