// The one place that reads the launcher's environment variables.
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "baton/comm/process_world.hpp"

namespace baton::comm {
namespace {

/// The leading number of a variable: "4" gives 4, Slurm's "2(x3),1" gives 2.
std::optional<int> number_of(const char* name) {
  const char* text = std::getenv(name);
  int value = 0;
  if (text == nullptr || std::from_chars(text, text + std::strlen(text), value).ec != std::errc{}) {
    return std::nullopt;
  }
  return value;
}

bool any_set(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::getenv(name) != nullptr) {
      return true;
    }
  }
  return false;
}

/// Slurm leaves the number of tasks where it was asked for as a whole, else its two factors.
int num_job_tasks() {
  if (!any_set({"SLURM_JOB_ID", "SLURM_JOBID"})) {
    return 1;
  }
  if (const auto tasks = number_of("SLURM_NTASKS")) {
    return *tasks;
  }
  return number_of("SLURM_NTASKS_PER_NODE").value_or(1) *
         number_of("SLURM_JOB_NUM_NODES").value_or(1);
}

}  // namespace

LaunchFacts launch_facts() {
  LaunchFacts facts;
  facts.num_job_tasks = num_job_tasks();
  const char* alone = std::getenv("BATON_ALONE");
  facts.alone_on_purpose = alone != nullptr && std::string_view(alone) == "1";
  facts.can_meet_peers = any_set({"PMIX_RANK", "PMI_RANK", "PMI_FD"});
  // mpirun inside a Slurm job starts its ranks through srun: its own variables come first.
  if (const auto size = number_of("OMPI_COMM_WORLD_SIZE")) {
    facts.launcher = "mpirun";
    facts.announced_size = *size;
    facts.announced_rank = number_of("OMPI_COMM_WORLD_RANK").value_or(0);
    facts.announced_local_size = number_of("OMPI_COMM_WORLD_LOCAL_SIZE").value_or(1);
    return facts;
  }
  // A batch script's own shell has SLURM_NTASKS but is no step: only a step's variables count.
  const auto step_size = number_of("SLURM_STEP_NUM_TASKS");
  if (step_size && any_set({"SLURM_STEP_ID"}) && any_set({"SLURM_PROCID"})) {
    facts.launcher = "srun";
    facts.announced_size = *step_size;
    facts.announced_rank = number_of("SLURM_PROCID").value_or(0);
    facts.announced_local_size = number_of("SLURM_STEP_TASKS_PER_NODE").value_or(1);
    return facts;
  }
  if (const auto size = number_of("PMI_SIZE")) {  // another MPI's mpiexec
    facts.launcher = "mpirun";
    facts.announced_size = *size;
    facts.announced_rank = number_of("PMI_RANK").value_or(0);
    facts.announced_local_size = number_of("MPI_LOCALNRANKS").value_or(1);
  } else if (any_set({"PMIX_RANK"})) {  // a PMIx launcher that names no size
    facts.launcher = "mpirun";
    facts.announced_rank = number_of("PMIX_RANK").value_or(0);
  }
  return facts;
}

std::optional<base::Error> lone_process_problem(const LaunchFacts& facts) {
  if (facts.launcher != "none" || facts.num_job_tasks <= 1 || facts.alone_on_purpose) {
    return std::nullopt;
  }
  return base::Error(
      base::ErrorKind::kCommunication, "this process is alone in a batch job of several tasks",
      {.where = "a Slurm job, outside of srun and mpirun",
       .expected = std::to_string(facts.num_job_tasks) + " ranks, one for each task of the job",
       .found = "a world of 1",
       .fix =
           "start with srun --mpi=pmix or mpirun; to use one task on purpose, set BATON_ALONE=1"});
}

}  // namespace baton::comm
