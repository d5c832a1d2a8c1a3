#pragma once
// Faults on demand, for tests of what happens then: BATON_FAULT="rank=1,step=5,kind=nan" in the
// environment. Kinds:
//
//   data, communication, storage, internal: the rank throws such an error before a slot of that
//     update
//   nan: a value of the rank's gradient becomes NaN
//   loop: the rank never returns from the update
//   skip: the rank leaves out one collective of its group
//   kill: the rank sends itself SIGKILL
//   signal: the rank sends itself SIGUSR1
//   pause: the rank sleeps before every slot from that update on (to=S: up to update S) for
//     seconds=T (0.02 without it)
//   cpu: the rank says that its CPU has other extensions, has="x86_64 avx2 fma"
//
// task=NAME restricts it to one expert, attempt=N to the first N attempts; calls=N instead of
// step=S means the N-th slot that this rank comes to in this process. Several are separated by
// semicolons. Without the variable nothing here costs anything; with it the run says so.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "baton/comm/communicator.hpp"

namespace baton::experiment {

class FaultInjection {
 public:
  /// The "update" while an expert is validated or its threshold looked for: only calls=N and a
  /// pause with step=0 reach it.
  static constexpr std::int64_t kAfterTraining = 0;

  /// A text that cannot be read, an unknown kind or key of any rank's fault is a kUsage error.
  static FaultInjection from_environment(int world_rank);

  /// A warning for the start of a run whose environment asks for faults, on any rank; "" without.
  static std::string warning();

  bool empty() const { return faults_.empty(); }
  /// What the rank is to say of its CPU; "" for the truth.
  const std::string& instruction_set() const { return instruction_set_; }
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
    std::int64_t last_step = std::numeric_limits<std::int64_t>::max();  // of a pause
    std::int64_t attempts = 1'000'000;
    std::int64_t calls = 0;  // 0: by step
    double seconds = 0.02;
  };
  bool is_due(const Fault& fault, const std::string& task, int attempt, std::int64_t step) const;

  std::vector<Fault> faults_;  // of this rank
  std::string instruction_set_;
  mutable std::int64_t num_calls_ = 0;
};

}  // namespace baton::experiment
