// NCCL's functions on host memory. Ranks are threads of one process, or the only rank of a group;
// sums are made in rank order. Faults are asked for by the environment (standin.hpp).
#include <nccl.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "standin.hpp"

namespace {

enum class Kind { kSum, kBroadcast, kGather };

/// What one rank brings to an operation.
struct Part {
  const float* send = nullptr;
  float* receive = nullptr;
};

struct Operation {
  Kind kind = Kind::kSum;
  std::size_t count = 0;
  int root = 0;
};

struct Meeting {
  std::map<int, Part> parts;  // by rank
  bool done = false;
};

/// The communicators that were made from one unique id.
struct Group {
  std::mutex mutex;
  std::condition_variable changed;
  int size = 0;
  int num_joined = 0;
  std::map<std::int64_t, Meeting> meetings;  // by number of the operation
};

/// One rank's side; guarded by the group's mutex. Queued operations keep it alive after its end.
struct Side {
  std::shared_ptr<Group> group;
  int rank = 0;
  ncclResult_t state = ncclSuccess;  // an asynchronous error
  std::string error_text;
  std::int64_t num_operations = 0;
  std::int64_t num_pending = 0;
  int polls_until_ready = 0;  // a call is taken in only after so many polls
  bool is_aborted = false;
  bool never_joins = false;
  bool never_finishes = false;
};

bool is_hit(int rank) {
  const int only = standin::number("STANDIN_NCCL_RANK", -1);
  return only < 0 || only == rank;
}

bool asks(const char* name, const std::string& value, int rank) {
  return is_hit(rank) && standin::setting(name) == value;
}

void log(int rank, const std::string& line) {
  standin::log("r" + std::to_string(rank) + " " + line);
}

void compute(const Operation& operation, Meeting& meeting) {
  const std::size_t count = operation.count;
  std::vector<float> result;
  if (operation.kind == Kind::kSum) {
    result.assign(count, 0.0F);
    for (const auto& [rank, part] : meeting.parts) {
      for (std::size_t i = 0; i < count; ++i) {
        result[i] += part.send[i];
      }
    }
  } else if (operation.kind == Kind::kBroadcast) {
    const float* root = meeting.parts[operation.root].send;
    result.assign(root, root + count);
  } else {
    for (const auto& [rank, part] : meeting.parts) {
      result.insert(result.end(), part.send, part.send + count);
    }
  }
  for (const auto& [rank, part] : meeting.parts) {
    std::copy(result.begin(), result.end(), part.receive);
  }
}

/// On the stream's thread: meets the other ranks, or waits for the abort.
void take_part(Side& side, std::int64_t index, const Operation& operation, Part part, bool never) {
  Group& group = *side.group;
  std::unique_lock lock(group.mutex);
  if (!never && !side.is_aborted) {
    Meeting& meeting = group.meetings[index];
    meeting.parts[side.rank] = part;
    if (std::cmp_equal(meeting.parts.size(), group.size)) {
      compute(operation, meeting);
      meeting.done = true;
      group.changed.notify_all();
    }
  }
  group.changed.wait(lock,
                     [&] { return side.is_aborted || (!never && group.meetings[index].done); });
  if (!never && !group.meetings[index].done) {
    group.meetings[index].parts.erase(side.rank);  // its memory may go now
  }
  --side.num_pending;
  group.changed.notify_all();
}

std::mutex& registry_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Side> side = std::make_shared<Side>();
};

namespace {

std::map<ncclComm_t, std::unique_ptr<ncclComm>>& communicators() {
  static std::map<ncclComm_t, std::unique_ptr<ncclComm>> all;
  return all;
}

/// Null for what is no communicator (any more); such a call is in the log as a mistake of the
/// caller.
std::shared_ptr<Side> side_of(ncclComm_t communicator, const char* call) {
  const std::lock_guard lock(registry_mutex());
  const auto found = communicators().find(communicator);
  if (found == communicators().end()) {
    standin::log(std::string("MISUSE ") + call + " of a communicator that is none");
    return nullptr;
  }
  return found->second->side;
}

void forget(ncclComm_t communicator) {
  standin::untie(communicator);
  const std::lock_guard lock(registry_mutex());
  communicators().erase(communicator);
}

std::shared_ptr<Group> group_of(const ncclUniqueId& id, int size) {
  static std::map<std::string, std::weak_ptr<Group>> groups;
  const std::lock_guard lock(registry_mutex());
  std::weak_ptr<Group>& known = groups[std::string(id.internal, sizeof id.internal)];
  std::shared_ptr<Group> group = known.lock();
  if (!group) {
    group = std::make_shared<Group>();
    group->size = size;
    known = group;
  }
  return group;
}

ncclResult_t start(ncclComm_t communicator,
                   const char* call,
                   Operation operation,
                   Part part,
                   cudaStream_t stream) {
  const std::shared_ptr<Side> side = side_of(communicator, call);
  if (!side) {
    return ncclInvalidArgument;
  }
  if (!standin::is_live_stream(stream)) {
    standin::log(std::string("MISUSE ") + call + " on a stream that is none");
    return ncclInvalidArgument;
  }
  standin::tie(communicator, stream);
  const std::lock_guard lock(side->group->mutex);
  log(side->rank, std::string(call) + " " + std::to_string(operation.count));
  if (side->state != ncclSuccess) {
    return side->state;
  }
  const std::int64_t index = side->num_operations++;
  const auto asked = [&](const char* fault) {
    return asks("STANDIN_NCCL_OPERATION", fault + (":" + std::to_string(index + 1)), side->rank);
  };
  if (asked("refuse")) {
    side->error_text = "operation refused by the stand-in";
    return ncclInternalError;
  }
  const bool fails = asked("error");
  if (fails) {
    side->state = ncclRemoteError;
    side->error_text = "connection closed by the stand-in";
  }
  ++side->num_pending;
  side->polls_until_ready = 2;
  standin::queue_on(stream, [side, index, operation, part, never = fails || asked("never")] {
    take_part(*side, index, operation, part, never);
  });
  return ncclInProgress;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = standin::number("STANDIN_NCCL_VERSION", NCCL_VERSION_CODE);
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int next = 0;
  const std::lock_guard lock(registry_mutex());
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "stand-in %d", next++);
  standin::log("ncclGetUniqueId");
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInternalError:
      return "internal error";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "another error";
  }
}

const char* ncclGetLastError(ncclComm_t communicator) {
  if (communicator == nullptr) {
    return "";
  }
  const std::shared_ptr<Side> side = side_of(communicator, "ncclGetLastError");
  return side ? side->error_text.c_str() : "";
}

ncclResult_t ncclCommInitRankConfig(
    ncclComm_t* communicator, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  log(rank, "ncclCommInitRankConfig size=" + std::to_string(size) +
                " blocking=" + std::to_string(config == nullptr ? 1 : config->blocking));
  *communicator = nullptr;
  if (asks("STANDIN_NCCL_INIT", "refuse", rank)) {
    return ncclInvalidUsage;
  }
  auto created = std::make_unique<ncclComm>();
  Side& side = *created->side;
  side.group = group_of(id, size);
  side.rank = rank;
  side.never_joins = asks("STANDIN_NCCL_INIT", "never", rank);
  side.never_finishes = asks("STANDIN_NCCL_FINALIZE", "never", rank);
  {
    const std::lock_guard lock(side.group->mutex);
    if (asks("STANDIN_NCCL_INIT", "error", rank)) {
      side.state = ncclRemoteError;
      side.error_text = "bootstrap refused by the stand-in";
    } else if (!side.never_joins) {
      ++side.group->num_joined;
    }
  }
  *communicator = created.get();
  const std::lock_guard lock(registry_mutex());
  communicators().emplace(*communicator, std::move(created));
  return ncclInProgress;
}

ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int size, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(communicator, size, id, rank, nullptr);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
  const std::shared_ptr<Side> side = side_of(communicator, "ncclCommGetAsyncError");
  if (!side) {
    return ncclInvalidArgument;
  }
  const std::lock_guard lock(side->group->mutex);
  *state = side->state;
  if (side->state == ncclSuccess &&
      (side->never_joins || side->group->num_joined < side->group->size ||
       side->polls_until_ready-- > 0)) {
    *state = ncclInProgress;
  }
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
  const std::shared_ptr<Side> side = side_of(communicator, "ncclCommFinalize");
  if (!side) {
    return ncclInvalidArgument;
  }
  log(side->rank, "ncclCommFinalize");
  const std::lock_guard lock(side->group->mutex);
  side->polls_until_ready = side->never_finishes ? 1 << 30 : 2;
  return ncclInProgress;
}

/// As the real one, it does not come back while an operation is under way.
ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  const std::shared_ptr<Side> side = side_of(communicator, "ncclCommDestroy");
  if (!side) {
    return ncclInvalidArgument;
  }
  log(side->rank, "ncclCommDestroy");
  {
    std::unique_lock lock(side->group->mutex);
    side->group->changed.wait(lock, [&] { return side->num_pending == 0; });
  }
  forget(communicator);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  const std::shared_ptr<Side> side = side_of(communicator, "ncclCommAbort");
  if (!side) {
    return ncclInvalidArgument;
  }
  log(side->rank, "ncclCommAbort");
  {
    const std::lock_guard lock(side->group->mutex);
    side->is_aborted = true;
    side->group->changed.notify_all();
  }
  forget(communicator);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* send,
                           void* receive,
                           size_t count,
                           ncclDataType_t type,
                           ncclRedOp_t operation,
                           ncclComm_t communicator,
                           cudaStream_t stream) {
  if (type != ncclFloat32 || operation != ncclSum) {
    return ncclInvalidArgument;
  }
  return start(communicator, "ncclAllReduce", {Kind::kSum, count, 0},
               {static_cast<const float*>(send), static_cast<float*>(receive)}, stream);
}

ncclResult_t ncclBroadcast(const void* send,
                           void* receive,
                           size_t count,
                           ncclDataType_t type,
                           int root,
                           ncclComm_t communicator,
                           cudaStream_t stream) {
  if (type != ncclFloat32) {
    return ncclInvalidArgument;
  }
  return start(communicator, "ncclBroadcast", {Kind::kBroadcast, count, root},
               {static_cast<const float*>(send), static_cast<float*>(receive)}, stream);
}

ncclResult_t ncclAllGather(const void* send,
                           void* receive,
                           size_t count,
                           ncclDataType_t type,
                           ncclComm_t communicator,
                           cudaStream_t stream) {
  if (type != ncclFloat32) {
    return ncclInvalidArgument;
  }
  return start(communicator, "ncclAllGather", {Kind::kGather, count, 0},
               {static_cast<const float*>(send), static_cast<float*>(receive)}, stream);
}

}  // extern "C"
