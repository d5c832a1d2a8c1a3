#include "baton/checkpoint/checkpoint_writer.hpp"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/checkpoint/generation.hpp"

namespace baton::checkpoint {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The thread is no place for signals: they belong to the threads that look for them.
template <typename Body>
std::thread start_without_signals(Body&& body) {
  sigset_t all{};
  sigset_t before{};
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::forward<Body>(body));
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

struct CheckpointWriter::State {
  enum class Phase { kIdle, kFilling, kWriting };
  // How one save ended, for a caller who waits for it.
  struct Outcome {
    bool is_done = false;
    std::exception_ptr error;
  };

  std::filesystem::path folder;
  std::size_t num_parameters = 0;
  std::function<void(const SaveReport&)> on_saved;
  expert::TrainingState buffer;  // of whoever the phase says
  double copy_seconds = 0;

  mutable std::mutex mutex;
  std::condition_variable changed;
  Phase phase = Phase::kIdle;
  std::shared_ptr<Outcome> outcome;  // of the save under way, if its caller waits for it
  bool ends = false;
  std::int64_t newest_step = -1;
  std::exception_ptr error;  // of a save whose caller went on
  std::thread thread;

  void throw_error() {
    if (error) {
      std::rethrow_exception(std::exchange(error, nullptr));
    }
  }
  void fill_and_hand_over(std::unique_lock<std::mutex>& lock,
                          const std::function<void(expert::TrainingState&)>& fill,
                          std::shared_ptr<Outcome> awaited);
  void give_sizes();
  void write();
  void run();
};

// Values are written, so that the memory is there before the first save.
void CheckpointWriter::State::give_sizes() {
  for (auto* values : {&buffer.parameters, &buffer.first_moment, &buffer.second_moment}) {
    values->resize(num_parameters);
  }
}

void CheckpointWriter::State::fill_and_hand_over(
    std::unique_lock<std::mutex>& lock,
    const std::function<void(expert::TrainingState&)>& fill,
    std::shared_ptr<Outcome> awaited) {
  phase = Phase::kFilling;
  lock.unlock();
  try {
    const auto start = Clock::now();
    fill(buffer);
    copy_seconds = seconds_since(start);
  } catch (...) {
    lock.lock();
    give_sizes();
    phase = Phase::kIdle;
    changed.notify_all();
    throw;
  }
  lock.lock();
  outcome = std::move(awaited);
  phase = Phase::kWriting;
  changed.notify_all();
}

void CheckpointWriter::State::write() {
  const auto start = Clock::now();
  SaveReport report;
  report.step = buffer.step;
  report.copy_seconds = copy_seconds;
  report.path = save_generation(folder, buffer);
  report.write_seconds = seconds_since(start);
  {
    const std::lock_guard lock(mutex);
    newest_step = report.step;
  }
  if (on_saved) {
    on_saved(report);
  }
}

void CheckpointWriter::State::run() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return phase == Phase::kWriting || ends; });
    if (phase != Phase::kWriting) {
      return;
    }
    lock.unlock();
    std::exception_ptr failure;
    try {
      write();
    } catch (...) {
      failure = std::current_exception();
    }
    give_sizes();
    lock.lock();
    (outcome ? outcome->error : error) = failure;
    if (outcome) {
      outcome->is_done = true;
    }
    outcome.reset();
    phase = Phase::kIdle;
    changed.notify_all();
  }
}

CheckpointWriter::CheckpointWriter(std::filesystem::path folder,
                                   std::int64_t num_parameters,
                                   std::function<void(const SaveReport&)> on_saved)
    : state_(std::make_unique<State>()) {
  BATON_ASSERT(num_parameters >= 0, std::to_string(num_parameters));
  state_->folder = std::move(folder);
  state_->num_parameters = static_cast<std::size_t>(num_parameters);
  state_->on_saved = std::move(on_saved);
  state_->give_sizes();
  state_->thread = start_without_signals([state = state_.get()] { state->run(); });
}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
  if (state_->error) {
    try {
      std::rethrow_exception(state_->error);
    } catch (const std::exception& error) {
      base::log(base::LogLevel::kError, "checkpoint", error.what());
    } catch (...) {
      base::log(base::LogLevel::kError, "checkpoint", "saving failed for an unknown reason");
    }
  }
}

bool CheckpointWriter::save(const std::function<void(expert::TrainingState&)>& fill) {
  std::unique_lock lock(state_->mutex);
  state_->throw_error();
  if (state_->phase != State::Phase::kIdle) {
    return false;
  }
  state_->fill_and_hand_over(lock, fill, nullptr);
  return true;
}

void CheckpointWriter::save_and_wait(const std::function<void(expert::TrainingState&)>& fill) {
  const auto is_idle = [this] { return state_->phase == State::Phase::kIdle; };
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, is_idle);
  state_->throw_error();
  const auto outcome = std::make_shared<State::Outcome>();
  state_->fill_and_hand_over(lock, fill, outcome);
  state_->changed.wait(lock, [&outcome] { return outcome->is_done; });
  if (outcome->error) {
    std::rethrow_exception(outcome->error);
  }
}

void CheckpointWriter::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->phase == State::Phase::kIdle; });
  state_->throw_error();
}

std::int64_t CheckpointWriter::newest_saved_step() const {
  const std::lock_guard lock(state_->mutex);
  return state_->newest_step;
}

}  // namespace baton::checkpoint
