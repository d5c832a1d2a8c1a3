#include "baton/comm/nccl_communicator.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "activity.hpp"
#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "buffer_check.hpp"
#include "nccl_support.hpp"

namespace baton::comm {
namespace {

using Clock = std::chrono::steady_clock;

std::string version_words(int code) {
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

int loaded_version() {
  int code = 0;
  BATON_NCCL_CHECK(ncclGetVersion(&code), nullptr);
  return code;
}

/// Two NCCLs in one process share symbol names and then hang: the library loaded must be the one
/// meant.
void check_version() {
  if (loaded_version() != NCCL_VERSION_CODE) {
    throw base::Error(
        base::ErrorKind::kCommunication, "another NCCL was loaded than this program was built with",
        {.expected = "NCCL " + version_words(NCCL_VERSION_CODE),
         .found = "NCCL " + version_words(loaded_version()),
         .fix = "take other NCCL folders out of LD_LIBRARY_PATH and LD_PRELOAD, or build again"});
  }
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Communicator> host, NcclOptions options)
      : host_(std::move(host)), options_(options), rank_(host_->rank()), size_(host_->size()) {
    prepare_together();
    form_group();
  }

  ~NcclCommunicator() override {
    if (nccl_) {
      base::log_warning(
          "comm", fmt::format("an NCCL group of {} ranks was dropped without close()", size_));
    }
    nccl_.reset();  // before the stream it uses
  }
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "nccl"; }

  void all_reduce_sum(FloatBuffer buffer) override {
    if (!buffer.on_gpu) {
      host_->all_reduce_sum(buffer);
      return;
    }
    start_all_reduce_sum(buffer);
    finish_started();
    wait_for_started();
  }

  void start_all_reduce_sum(FloatBuffer buffer) override {
    if (!buffer.on_gpu) {
      host_->start_all_reduce_sum(buffer);
      return;
    }
    enqueue("ncclAllReduce", [&] {
      return ncclAllReduce(buffer.data, buffer.data, buffer.count, ncclFloat32, ncclSum,
                           nccl_.get(), stream_.get());
    });
  }

  bool sums_in_background() const override { return true; }

  void finish_started() override {
    host_->finish_started();
    if (started_ == nullptr) {
      return;
    }
    check_open();
    BATON_CUDA_CHECK(cudaSetDevice(options_.device_index));
    BATON_CUDA_CHECK(cudaEventRecord(done_.get(), stream_.get()));
    BATON_CUDA_CHECK(cudaStreamWaitEvent(compute_stream(), done_.get(), 0));
    is_ordered_ = true;
  }

  void wait_for_started() override {
    host_->wait_for_started();
    if (started_ == nullptr) {
      return;
    }
    check_open();
    if (!is_ordered_) {
      finish_started();
    }
    wait_until_done(limit_seconds(), started_);
    started_ = nullptr;
    is_ordered_ = false;
    is_first_ = false;
  }

  void broadcast(FloatBuffer buffer, int root) override {
    if (!buffer.on_gpu) {
      host_->broadcast(buffer, root);
      return;
    }
    BATON_ASSERT(root >= 0 && root < size_, fmt::format("root {} of {}", root, size_));
    enqueue("ncclBroadcast", [&] {
      return ncclBroadcast(buffer.data, buffer.data, buffer.count, ncclFloat32, root, nccl_.get(),
                           stream_.get());
    });
    wait_for_started();
  }

  void all_gather(FloatBuffer mine, FloatBuffer received) override {
    check_gather_sizes(mine, received, size_);
    BATON_ASSERT(mine.on_gpu == received.on_gpu,
                 std::string("one buffer on the GPU, one on the host"));
    if (!mine.on_gpu) {
      host_->all_gather(mine, received);
      return;
    }
    enqueue("ncclAllGather", [&] {
      return ncclAllGather(mine.data, received.data, mine.count, ncclFloat32, nccl_.get(),
                           stream_.get());
    });
    wait_for_started();
  }

  double all_reduce_sum(double value) override { return host_->all_reduce_sum(value); }
  std::int64_t all_reduce_max(std::int64_t value) override { return host_->all_reduce_max(value); }
  std::vector<std::string> all_gather_bytes(const std::string& mine) override {
    return host_->all_gather_bytes(mine);
  }
  std::string broadcast_bytes(const std::string& mine, int root) override {
    return host_->broadcast_bytes(mine, root);
  }
  void barrier() override { host_->barrier(); }

  /// Waits for NCCL and the host group's collectives, which never overlap.
  CommunicatorActivity activity() const override {
    CommunicatorActivity all = host_->activity();
    const CommunicatorActivity mine = activity_.read();
    all.num_collectives += mine.num_collectives;
    all.in_collective = all.in_collective || mine.in_collective;
    all.seconds_inside += mine.seconds_inside;
    return all;
  }

  void close() override {
    check_open();
    wait_for_started();  // finalize would wait for them without a limit
    or_abort("ncclCommFinalize",
             [&] { BATON_NCCL_CHECK(ncclCommFinalize(nccl_.get()), nccl_.get()); });
    wait_until_ready(options_.timeout_seconds, "ncclCommFinalize");
    const ncclComm_t finished = nccl_.release();
    BATON_NCCL_CHECK(ncclCommDestroy(finished), nullptr);
    ended_because_ = "closed";
    host_->close();
  }

  void abort(const std::string& reason) noexcept override {
    nccl_.reset();
    try {
      ended_because_ = "aborted: " + reason;
      base::log(base::LogLevel::kError, "comm",
                fmt::format("NCCL group of {} ranks aborted: {}", size_, reason));
    } catch (...) {  // the text is a courtesy on this path
    }
    host_->abort(reason);
  }

 private:
  cudaStream_t compute_stream() const { return static_cast<cudaStream_t>(options_.compute_stream); }

  std::string place() const { return fmt::format("group rank {} of {} (nccl)", rank_, size_); }

  double limit_seconds() const {
    return is_first_ ? options_.first_timeout_seconds : options_.timeout_seconds;
  }

  void check_open() const {
    if (!nccl_) {
      throw base::Error(base::ErrorKind::kCommunication, "a group of ranks was used after its end",
                        {.where = place(), .found = ended_because_});
    }
  }

  /// What one rank alone can fail at, before any rank waits in NCCL for the others.
  void prepare_together() {
    std::optional<base::Error> mine;
    try {
      check_version();
      BATON_CUDA_CHECK(cudaSetDevice(options_.device_index));
      cudaStream_t stream = nullptr;
      BATON_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
      stream_ = StreamHandle(stream);
      for (EventHandle* event : {&filled_, &done_}) {
        cudaEvent_t created = nullptr;
        BATON_CUDA_CHECK(cudaEventCreateWithFlags(&created, cudaEventDisableTiming));
        *event = EventHandle(created);
      }
    } catch (const base::Error& error) {
      mine = error;
    }
    const bool failed = host_->all_reduce_max(mine ? 1 : 0) != 0;
    if (mine) {
      throw *mine;
    }
    if (failed) {
      throw base::Error(base::ErrorKind::kCommunication,
                        "another rank of the group could not start NCCL",
                        {.where = place(), .fix = "the other rank's own message says why"});
    }
  }

  void form_group() {
    ncclUniqueId id{};
    ncclResult_t status = ncclSuccess;
    if (rank_ == 0) {
      status = ncclGetUniqueId(&id);
    }
    const std::string bytes = host_->broadcast_bytes(
        status == ncclSuccess ? std::string(id.internal, sizeof id.internal) : std::string(), 0);
    BATON_NCCL_CHECK(status, nullptr);
    if (bytes.size() != sizeof id.internal) {
      throw base::Error(base::ErrorKind::kCommunication, "group rank 0 got no unique id from NCCL",
                        {.where = place(), .fix = "group rank 0's own message says why"});
    }
    std::memcpy(id.internal, bytes.data(), sizeof id.internal);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t created = nullptr;
    ncclResult_t started = ncclCommInitRankConfig(&created, size_, id, rank_, &config);
    nccl_ = NcclHandle(created);
    or_abort("ncclCommInitRankConfig",
             [&] { check_nccl(started, created, "ncclCommInitRankConfig"); });
    wait_until_ready(options_.first_timeout_seconds, "ncclCommInitRankConfig");
  }

  /// After an error nothing may be assumed about what is queued: the group ends with it.
  template <typename Work>
  void or_abort(const char* name, Work work) {
    try {
      work();
    } catch (const base::Error& error) {
      abort(fmt::format("{}: {}", name, error.summary()));
      throw;
    }
  }

  /// Puts one operation on the group's stream, after what the compute stream holds.
  template <typename Operation>
  void enqueue(const char* name, Operation operation) {
    check_open();
    or_abort(name, [&] {
      BATON_CUDA_CHECK(cudaSetDevice(options_.device_index));
      BATON_CUDA_CHECK(cudaEventRecord(filled_.get(), compute_stream()));
      BATON_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), filled_.get(), 0));
      check_nccl(operation(), nccl_.get(), name);
    });
    wait_until_ready(limit_seconds(), name);
    started_ = name;
    is_ordered_ = false;
  }

  /// Until NCCL has taken the last call in; the GPU may still work on it.
  void wait_until_ready(double limit_seconds, const char* name) {
    poll(limit_seconds, name, [](ncclResult_t state) { return state == ncclSuccess; });
  }

  /// Until the GPU has passed the last call.
  void wait_until_done(double limit_seconds, const char* name) {
    poll(limit_seconds, name, [&](ncclResult_t) {
      const cudaError_t state = cudaEventQuery(done_.get());
      if (state != cudaErrorNotReady) {
        or_abort(name, [&] { check_cuda(state, name); });
      }
      return state == cudaSuccess;
    });
  }

  template <typename Finished>
  void poll(double limit_seconds, const char* name, Finished finished) {
    const ActivityCounter::Scope waiting(activity_);
    const Clock::time_point start = Clock::now();
    for (std::int64_t round = 0;; ++round) {
      ncclResult_t state = ncclSuccess;
      or_abort(name, [&] {
        BATON_NCCL_CHECK(ncclCommGetAsyncError(nccl_.get(), &state), nccl_.get());
        check_nccl(state, nccl_.get(), name);
      });
      if (finished(state)) {
        return;
      }
      if (limit_seconds > 0 &&
          std::chrono::duration<double>(Clock::now() - start).count() > limit_seconds) {
        abort(fmt::format("{} took longer than {} s", name, limit_seconds));
        throw base::Error(base::ErrorKind::kHang, "a group of GPUs made no progress",
                          {.where = fmt::format("{} on {}", name, place()),
                           .expected = fmt::format("an end within {} s", limit_seconds),
                           .fix = "look for a rank that stopped; raise cluster.timeout_seconds if "
                                  "it is merely slow"});
      }
      // Short operations are met by yielding, long ones without keeping a core busy.
      if (round < 1000) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }

  std::unique_ptr<Communicator> host_;
  NcclOptions options_;
  int rank_;
  int size_;
  bool is_first_ = true;
  ActivityCounter activity_;       // of waits
  const char* started_ = nullptr;  // the last operation not waited for
  bool is_ordered_ = false;        // the compute stream waits for it
  std::string ended_because_;
  StreamHandle stream_;  // destroyed after nccl_, which is declared later
  EventHandle filled_;
  EventHandle done_;
  NcclHandle nccl_;
};

}  // namespace

bool nccl_compiled_in() noexcept {
  return true;
}

std::string nccl_version_text() {
  return fmt::format("NCCL {} (compiled {})", version_words(loaded_version()),
                     version_words(NCCL_VERSION_CODE));
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host,
                                                     NcclOptions options) {
  BATON_ASSERT(host != nullptr, std::string("no host group"));
  return std::make_unique<NcclCommunicator>(std::move(host), options);
}

}  // namespace baton::comm
