#include "baton/comm/nccl_communicator.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <source_location>
#include <thread>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/handle.hpp"
#include "baton/base/log.hpp"
#include "buffer_check.hpp"

namespace baton::comm {
namespace {

using Clock = std::chrono::steady_clock;

struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
};
/// Abort never waits for peers, destroy may: an owner that is simply dropped aborts.
struct AbortNccl {
  void operator()(ncclComm_t communicator) const noexcept { ncclCommAbort(communicator); }
};
using StreamHandle = base::Handle<cudaStream_t, DestroyStream>;
using EventHandle = base::Handle<cudaEvent_t, DestroyEvent>;
using NcclHandle = base::Handle<ncclComm_t, AbortNccl>;

base::Error library_error(const char* library,
                          const char* expression,
                          const std::string& text,
                          std::source_location place) {
  return {base::ErrorKind::kCommunication,
          fmt::format("a {} call failed", library),
          {.where = fmt::format("{} at {}:{}", expression, place.file_name(), place.line()),
           .found = text,
           .fix = "run with NCCL_DEBUG=INFO to see NCCL's own account; finished work is kept"}};
}

void check_cuda(cudaError_t status,
                const char* expression,
                std::source_location place = std::source_location::current()) {
  if (status != cudaSuccess) {
    throw library_error("CUDA", expression, cudaGetErrorString(status), place);
  }
}

/// `communicator` may be null; it gives the longer text. "In progress" is the usual answer of a
/// communicator that does not block.
void check_nccl(ncclResult_t status,
                ncclComm_t communicator,
                const char* expression,
                std::source_location place = std::source_location::current()) {
  if (status != ncclSuccess && status != ncclInProgress) {
    throw library_error(
        "NCCL", expression,
        fmt::format("{}; {}", ncclGetErrorString(status), ncclGetLastError(communicator)), place);
  }
}

#define BATON_CUDA_CHECK(call) check_cuda((call), #call)
#define BATON_NCCL_CHECK(call, communicator) check_nccl((call), (communicator), #call)

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
        {.expected = version_words(NCCL_VERSION_CODE),
         .found = version_words(loaded_version()),
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
    run("ncclAllReduce", [&] {
      return ncclAllReduce(buffer.data, buffer.data, buffer.count, ncclFloat32, ncclSum,
                           nccl_.get(), stream_.get());
    });
  }

  void broadcast(FloatBuffer buffer, int root) override {
    if (!buffer.on_gpu) {
      host_->broadcast(buffer, root);
      return;
    }
    BATON_ASSERT(root >= 0 && root < size_, fmt::format("root {} of {}", root, size_));
    run("ncclBroadcast", [&] {
      return ncclBroadcast(buffer.data, buffer.data, buffer.count, ncclFloat32, root, nccl_.get(),
                           stream_.get());
    });
  }

  void all_gather(FloatBuffer mine, FloatBuffer received) override {
    check_gather_sizes(mine, received, size_);
    BATON_ASSERT(mine.on_gpu == received.on_gpu,
                 std::string("one buffer on the GPU, one on the host"));
    if (!mine.on_gpu) {
      host_->all_gather(mine, received);
      return;
    }
    run("ncclAllGather", [&] {
      return ncclAllGather(mine.data, received.data, mine.count, ncclFloat32, nccl_.get(),
                           stream_.get());
    });
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

  void close() override {
    check_open();
    BATON_NCCL_CHECK(ncclCommFinalize(nccl_.get()), nccl_.get());
    wait_until_ready(options_.timeout_seconds, "ncclCommFinalize");
    const ncclComm_t finished = nccl_.release();
    BATON_NCCL_CHECK(ncclCommDestroy(finished), nullptr);
    host_->close();
  }

  void abort(const std::string& reason) noexcept override {
    nccl_.reset();
    host_->abort(reason);
  }

 private:
  void check_open() const {
    if (!nccl_) {
      throw base::Error(base::ErrorKind::kCommunication, "a group of ranks was used after its end",
                        {.where = fmt::format("rank {} of {} (nccl)", rank_, size_)});
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
                        {.where = fmt::format("group rank {} of {}", rank_, size_),
                         .fix = "the other rank's own message says why"});
    }
  }

  void form_group() {
    ncclUniqueId id{};
    if (rank_ == 0) {
      BATON_NCCL_CHECK(ncclGetUniqueId(&id), nullptr);
    }
    const std::string bytes =
        host_->broadcast_bytes(std::string(id.internal, sizeof id.internal), 0);
    std::memcpy(id.internal, bytes.data(), sizeof id.internal);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t created = nullptr;
    const ncclResult_t status = ncclCommInitRankConfig(&created, size_, id, rank_, &config);
    nccl_ = NcclHandle(created);
    BATON_NCCL_CHECK(status, nccl_.get());
    wait_until_ready(options_.first_timeout_seconds, "ncclCommInitRankConfig");
  }

  /// One operation: after what the compute stream holds, before what it will hold, waited for by
  /// polling.
  template <typename Operation>
  void run(const char* name, Operation operation) {
    check_open();
    const double limit = is_first_ ? options_.first_timeout_seconds : options_.timeout_seconds;
    const auto compute = static_cast<cudaStream_t>(options_.compute_stream);
    BATON_CUDA_CHECK(cudaSetDevice(options_.device_index));
    BATON_CUDA_CHECK(cudaEventRecord(filled_.get(), compute));
    BATON_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), filled_.get(), 0));
    check_nccl(operation(), nccl_.get(), name);
    wait_until_ready(limit, name);
    BATON_CUDA_CHECK(cudaEventRecord(done_.get(), stream_.get()));
    BATON_CUDA_CHECK(cudaStreamWaitEvent(compute, done_.get(), 0));
    wait_until_done(limit, name);
    is_first_ = false;
  }

  /// Until NCCL has taken the last call in.
  void wait_until_ready(double limit_seconds, const char* name) {
    poll(limit_seconds, name, [](ncclResult_t state) { return state == ncclSuccess; });
  }

  /// Until the GPU has passed the operation.
  void wait_until_done(double limit_seconds, const char* name) {
    poll(limit_seconds, name, [&](ncclResult_t) {
      const cudaError_t state = cudaEventQuery(done_.get());
      if (state != cudaErrorNotReady) {
        check_cuda(state, name);
      }
      return state == cudaSuccess;
    });
  }

  template <typename Finished>
  void poll(double limit_seconds, const char* name, Finished finished) {
    const Clock::time_point start = Clock::now();
    for (std::int64_t round = 0;; ++round) {
      ncclResult_t state = ncclSuccess;
      BATON_NCCL_CHECK(ncclCommGetAsyncError(nccl_.get(), &state), nccl_.get());
      if (state != ncclSuccess && state != ncclInProgress) {
        const base::Error error = library_error(
            "NCCL", name,
            fmt::format("{}; {}", ncclGetErrorString(state), ncclGetLastError(nccl_.get())),
            std::source_location::current());
        abort(error.summary());
        throw error;
      }
      if (finished(state)) {
        return;
      }
      if (std::chrono::duration<double>(Clock::now() - start).count() > limit_seconds) {
        abort(fmt::format("{} took longer than {} s", name, limit_seconds));
        throw base::Error(base::ErrorKind::kHang, "a group of GPUs made no progress",
                          {.where = fmt::format("{} on group rank {} of {}", name, rank_, size_),
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
