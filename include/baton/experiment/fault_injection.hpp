#pragma once
// Faults on demand, for tests of what happens then: BATON_FAULT="rank=1,step=5,kind=nan" in the
// environment. Kinds:
//   data, communication, storage, internal   the rank throws an error of this kind before a slot of
//   that update nan      a value of the rank's gradient becomes NaN loop     the rank never returns
//   from the update skip     the rank leaves out one collective of its group kill     the rank
//   sends itself SIGKILL pause    the rank sleeps before every slot from that update on, seconds=T
//   long (0.02 without it) signal   the rank sends itself SIGUSR1
// task=NAME restricts it to one expert, attempt=N to the first N attempts; calls=N instead of
// step=S means the N-th slot that this rank comes to in this process. Several are separated by
// semicolons. Without the variable nothing here costs anything.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/comm/communicator.hpp"

namespace baton::experiment {

class FaultInjection {
 public:
  /// The "update" while an expert's threshold is looked for: only calls=N and a pause from step -1
  /// on reach it.
  static constexpr std::int64_t kAfterTraining = -1;

  /// A text that cannot be read is a kUsage error.
  static FaultInjection from_environment(int world_rank);

  bool empty() const { return faults_.empty(); }
  /// Before each slot of update `step` (from 1) of `task`.
  void before_slot(const std::string& task,
                   int attempt,
                   std::int64_t step,
                   comm::Communicator& group) const;
  /// With each slot's gradient.
  void on_gradient(const std::string& task, std::int64_t step, comm::FloatBuffer gradient) const;

 private:
  struct Fault {
    std::string kind;
    std::string task;  // "": any
    std::int64_t step = 1;
    std::int64_t attempts = 1'000'000;
    std::int64_t calls = 0;  // 0: by step
    double seconds = 0.02;
  };
  bool is_due(const Fault& fault, const std::string& task, int attempt, std::int64_t step) const;

  std::vector<Fault> faults_;  // of this rank
  mutable std::int64_t num_calls_ = 0;
};

}  // namespace baton::experiment
