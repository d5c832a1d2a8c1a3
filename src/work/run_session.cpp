#include "baton/work/run_session.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "baton/base/log.hpp"
#include "baton/run/run_status.hpp"
#include "baton/work/agreed.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::work {

namespace {

base::Error stopped_error() {
  return {base::ErrorKind::kStopped,
          "asked to stop",
          {.fix = "what is finished and saved is kept; run the same command again to go on"}};
}

}  // namespace

RunSession::RunSession(comm::ProcessWorld& world, std::string command)
    : world_(world), command_(std::move(command)) {}

void RunSession::begin(const std::filesystem::path& run, std::optional<run::RunLock> lock) {
  run_ = run;
  if (world_.rank() != 0) {
    return;
  }
  if (lock) {
    lock_.emplace(std::move(*lock));
  }
  run::RunStatus status = run::status_here(command_, 0);
  started_ = status.started;
  run::begin_status(run_, status);
  begun_ = true;
  says_stopping_ = stop_watcher_.on_stop([this] {
    write_progress();
    base::log_warning("main", "asked to stop: leaving as soon as everything is safe");
  });
}

int RunSession::guard(const std::function<int()>& work) {
  try {
    return work();
  } catch (const AgreedError& error) {
    note_failure(error, true);
    throw;
  } catch (...) {
    note_failure(base::current_error(), false);
    throw;
  }
}

void RunSession::note_failure(const base::Error& error, bool agreed) noexcept {
  if (agreed && !begun_) {
    return;
  }
  says_stopping_.reset();
  const bool first = run::write_failure_once(run_, run::failure_of(status_now(), error));
  if (!first && !agreed && world_.size() > 1) {
    std::this_thread::sleep_for(std::chrono::seconds(10));  // the first one is ending the world
  }
}

run::RunStatus RunSession::status_now() const {
  run::RunStatus status = run::status_here(command_, world_.rank());
  if (!started_.empty()) {
    status.started = started_;
  }
  return status;
}

void RunSession::write_progress() {
  const std::lock_guard lock(writing_);
  if (!begun_ || ended_) {
    return;
  }
  run::RunStatus status = status_now();
  if (stop_requested()) {
    status = run::failure_of(status, stopped_error());
  }
  run::write_status(run_, status);
}

void RunSession::stop_point() {
  together(world_, [] {
    if (stop_requested()) {
      throw stopped_error();
    }
  });
}

void RunSession::end(const std::string& state, int exit_code, const std::string& error) {
  says_stopping_.reset();
  const std::lock_guard lock(writing_);
  if (!begun_ || ended_) {
    return;
  }
  ended_ = true;
  run::RunStatus status = status_now();
  status.state = state;
  status.exit_code = exit_code;
  status.error = error;
  run::write_status(run_, status);
  lock_.reset();
}

}  // namespace baton::work
