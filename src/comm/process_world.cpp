#include "baton/comm/process_world.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <utility>

#include "agreement.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/host.hpp"
#include "control_plane.hpp"
#include "mpi_check.hpp"
#include "mpi_communicator.hpp"

namespace baton::comm {
namespace {

/// srun without an MPI plugin starts every rank alone; Open MPI's own start would end the process
/// with a text about its build, so this is found out before.
void check_launch(const LaunchFacts& facts) {
  if (facts.launcher == "srun" && facts.announced_size > 1 && !facts.can_meet_peers) {
    throw base::Error(
        base::ErrorKind::kCommunication, "the ranks that srun started cannot find one another",
        {.where = fmt::format("rank {} on {}", facts.announced_rank, device::host_name()),
         .expected = fmt::format("{} ranks in one MPI world", facts.announced_size),
         .found = "no PMIx or PMI address in the environment",
         .fix =
             "start with srun --mpi=pmix (srun --mpi=list shows what is there), or with mpirun"});
  }
}

void check_size(const LaunchFacts& facts, int size) {
  if (facts.announced_size > 1 && size == 1) {
    throw base::Error(
        base::ErrorKind::kCommunication, "this rank is alone though more were started",
        {.where = fmt::format("rank {} on {}", facts.announced_rank, device::host_name()),
         .expected =
             fmt::format("{} ranks ({} announced them)", facts.announced_size, facts.launcher),
         .found = "an MPI world of 1",
         .fix = "use the mpirun of the Open MPI that this program was built with, or srun "
                "--mpi=pmix"});
  }
}

void start_mpi(const LaunchFacts& facts, int* argc, char*** argv) {
  int started = 0;
  MPI_Initialized(&started);
  BATON_ASSERT(started == 0, std::string("MPI was started before"));
  if (facts.announced_local_size > device::usable_cores()) {
    // Ranks that spin while they wait would take the cores from those that work.
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  }
  int provided = MPI_THREAD_SINGLE;
  BATON_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided));
  BATON_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  check_thread_level(provided);
}

}  // namespace

struct ProcessWorld::State {
  bool uses_mpi = false;
  bool ended = false;
  int exceptions_at_start = std::uncaught_exceptions();
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  int local_size = 1;
  std::string host = device::host_name();
  std::vector<int> node_of_rank{0};
  ControlPlane control;
  std::unique_ptr<Communicator> everyone = make_single_communicator();
  MpiCommHandle part;  // of a world that is a part of another

  MPI_Comm all() const { return part ? part.get() : MPI_COMM_WORLD; }
  void meet();
  void find_nodes();
  MpiCommHandle part_of(const std::vector<std::vector<int>>& members);
};

void ProcessWorld::State::meet() {
  BATON_MPI(MPI_Comm_rank(all(), &rank));
  BATON_MPI(MPI_Comm_size(all(), &size));
  control.open(duplicate(all()), rank);
  everyone = std::make_unique<MpiCommunicator>(duplicate(all()));
}

void ProcessWorld::State::find_nodes() {
  const std::vector<std::string> hosts = everyone->all_gather_bytes(host);
  std::map<std::string, int> numbers;
  node_of_rank.clear();
  for (const std::string& name : hosts) {
    const auto next = static_cast<int>(numbers.size());
    node_of_rank.push_back(numbers.try_emplace(name, next).first->second);
  }
}

ProcessWorld::ProcessWorld(int* argc, char*** argv) : state_(std::make_unique<State>()) {
  const LaunchFacts facts = launch_facts();
  check_launch(facts);
  if (const auto problem = lone_process_problem(facts)) {
    throw *problem;
  }
  if (facts.launcher == "none" || (facts.launcher == "srun" && facts.announced_size == 1)) {
    return;
  }
  start_mpi(facts, argc, argv);
  State& state = *state_;
  state.uses_mpi = true;
  int size = 0;
  BATON_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
  check_size(facts, size);
  state.meet();
  state.find_nodes();
  const auto me = state.node_of_rank.begin() + state.rank;
  state.local_rank = static_cast<int>(std::count(state.node_of_rank.begin(), me, *me));
  state.local_size =
      static_cast<int>(std::count(state.node_of_rank.begin(), state.node_of_rank.end(), *me));
}

ProcessWorld::ProcessWorld(std::unique_ptr<State> state) : state_(std::move(state)) {}

ProcessWorld::~ProcessWorld() {
  State& state = *state_;
  if (!state.uses_mpi || state.ended) {
    return;
  }
  if (std::uncaught_exceptions() > state.exceptions_at_start) {
    state.everyone->abort("left by an exception");
    state.control.give_up();
    return;
  }
  try {
    close();
  } catch (const std::exception& error) {
    base::log(base::LogLevel::kError, "comm",
              std::string("the world did not end well: ") + error.what());
    abort(base::exit_code(base::ErrorKind::kCommunication));
  }
}

int ProcessWorld::rank() const {
  return state_->rank;
}
int ProcessWorld::size() const {
  return state_->size;
}
int ProcessWorld::local_rank() const {
  return state_->local_rank;
}
int ProcessWorld::local_size() const {
  return state_->local_size;
}
const std::string& ProcessWorld::host() const {
  return state_->host;
}
const std::vector<int>& ProcessWorld::node_of_rank() const {
  return state_->node_of_rank;
}

Communicator& ProcessWorld::everyone() {
  BATON_ASSERT(!state_->ended, std::string("the world was closed"));
  return *state_->everyone;
}

std::unique_ptr<Communicator> ProcessWorld::make_world_group() {
  BATON_ASSERT(!state_->ended, std::string("the world was closed"));
  if (!state_->uses_mpi) {
    return make_single_communicator();
  }
  return std::make_unique<MpiCommunicator>(duplicate(state_->all()));
}

// Nothing for a rank in none of the groups.
MpiCommHandle ProcessWorld::State::part_of(const std::vector<std::vector<int>>& members) {
  const GroupPlace place = find_place(members, rank, size);
  // Ranks with different lists would wait for one another for ever.
  base::Sha256 digest;
  for (const std::vector<int>& group : members) {
    for (const int member : group) {
      digest.add_field(std::to_string(member));
    }
    digest.add_field("/");
  }
  const std::string mine = digest.hex();
  const std::vector<std::string> lists = everyone->all_gather_bytes(mine);
  for (std::size_t r = 0; r < lists.size(); ++r) {
    BATON_ASSERT(lists[r] == lists[0], fmt::format("ranks 0 and {} ask for different groups", r));
  }
  MPI_Comm group = MPI_COMM_NULL;
  BATON_MPI(MPI_Comm_split(all(), place.group_index < 0 ? MPI_UNDEFINED : place.group_index,
                           place.position, &group));
  if (group == MPI_COMM_NULL) {
    return {};
  }
  MpiCommHandle handle(group);
  BATON_MPI(MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN));
  return handle;
}

std::unique_ptr<Communicator> ProcessWorld::split(const std::vector<std::vector<int>>& members) {
  BATON_ASSERT(!state_->ended, std::string("the world was closed"));
  if (!state_->uses_mpi) {
    return find_place(members, 0, 1).group_index < 0 ? nullptr : make_single_communicator();
  }
  MpiCommHandle group = state_->part_of(members);
  return group ? std::make_unique<MpiCommunicator>(std::move(group)) : nullptr;
}

std::unique_ptr<ProcessWorld> ProcessWorld::split_world(
    const std::vector<std::vector<int>>& members) {
  const State& whole = *state_;
  BATON_ASSERT(!whole.ended, std::string("the world was closed"));
  auto state = std::make_unique<State>();
  state->uses_mpi = whole.uses_mpi;
  state->local_rank = whole.local_rank;
  state->local_size = whole.local_size;
  if (!whole.uses_mpi) {
    return find_place(members, 0, 1).group_index < 0
               ? nullptr
               : std::unique_ptr<ProcessWorld>(new ProcessWorld(std::move(state)));
  }
  state->part = state_->part_of(members);
  if (!state->part) {
    return nullptr;
  }
  state->meet();
  state->find_nodes();
  return std::unique_ptr<ProcessWorld>(new ProcessWorld(std::move(state)));
}

void ProcessWorld::send_control(int to_rank, Mailbox box, const std::string& bytes) {
  BATON_ASSERT(to_rank >= 0 && to_rank < state_->size,
               fmt::format("rank {} of {}", to_rank, state_->size));
  state_->control.send(to_rank, box, bytes);
}

std::optional<ControlMessage> ProcessWorld::poll_control(Mailbox box) {
  return state_->control.poll(box);
}

void ProcessWorld::check_same_build(const std::string& mine) {
  State& state = *state_;
  if (!state.uses_mpi) {
    return;
  }
  const std::vector<std::string> builds = state.everyone->all_gather_bytes(mine);
  const std::vector<std::string> hosts = state.everyone->all_gather_bytes(state.host);
  for (std::size_t r = 1; r < builds.size(); ++r) {
    if (builds[r] != builds[0]) {
      throw base::Error(base::ErrorKind::kCommunication, "the ranks run different builds",
                        {.where = fmt::format("rank {} on {}", r, hosts[r]),
                         .expected = fmt::format("{}, as rank 0 on {}", builds[0], hosts[0]),
                         .found = builds[r],
                         .fix = "start every rank from the same program file"});
    }
  }
}

void ProcessWorld::abort(int code) noexcept {
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
  if (state_->uses_mpi && mpi_is_running()) {
    MPI_Abort(MPI_COMM_WORLD, code);
  }
  std::_Exit(code);
}

void ProcessWorld::close() {
  State& state = *state_;
  if (state.ended) {
    return;
  }
  std::cout.flush();
  std::fflush(nullptr);
  state.control.close();
  if (state.uses_mpi) {
    state.everyone->close();
    if (!state.part) {
      BATON_MPI(MPI_Finalize());
    }
    state.part.reset();
  }
  state.ended = true;
}

}  // namespace baton::comm
