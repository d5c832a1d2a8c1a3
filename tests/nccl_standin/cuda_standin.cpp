// The CUDA runtime calls that the project and these tests use, on host memory and threads.
#include <cuda_runtime_api.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "standin.hpp"

namespace {

/// Work in order on one thread. The thread keeps the queue alive and ends once it was closed and is
/// empty.
class Queue : public std::enable_shared_from_this<Queue> {
 public:
  static std::shared_ptr<Queue> make() {
    auto queue = std::make_shared<Queue>();
    std::thread([queue] { queue->run(); }).detach();
    return queue;
  }

  void add(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    ++num_added_;
    changed_.notify_all();
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  void wait_until_empty() {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = num_added_;
    changed_.wait(lock, [&] { return num_done_ >= target; });
  }

  bool is_empty() {
    const std::lock_guard lock(mutex_);
    return num_done_ == num_added_;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !work_.empty() || closed_; });
      if (work_.empty()) {
        return;
      }
      const std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      lock.lock();
      ++num_done_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::uint64_t num_added_ = 0;
  std::uint64_t num_done_ = 0;
  bool closed_ = false;
};

/// A point in a stream's work.
struct Marker {
  std::mutex mutex;
  std::condition_variable changed;
  bool passed = false;

  void pass() {
    const std::lock_guard lock(mutex);
    passed = true;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return passed; });
  }
  bool is_passed() {
    const std::lock_guard lock(mutex);
    return passed;
  }
};

std::mutex& shared_mutex() {
  static std::mutex mutex;
  return mutex;
}

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t answer(const char* name, const std::string& details = "") {
  standin::log(details.empty() ? std::string(name) : std::string(name) + " " + details);
  last_error = standin::setting("STANDIN_CUDA_FAILS") == name ? cudaErrorUnknown : cudaSuccess;
  return last_error;
}

}  // namespace

struct CUstream_st {
  std::shared_ptr<Queue> queue = Queue::make();
};
struct CUevent_st {
  std::shared_ptr<Marker> latest;
};

namespace {

std::map<cudaStream_t, std::unique_ptr<CUstream_st>>& streams() {
  static std::map<cudaStream_t, std::unique_ptr<CUstream_st>> all;
  return all;
}
std::map<cudaEvent_t, std::unique_ptr<CUevent_st>>& events() {
  static std::map<cudaEvent_t, std::unique_ptr<CUevent_st>> all;
  return all;
}

/// Null for a stream that is none. The default stream is the current device's.
std::shared_ptr<Queue> queue_of(cudaStream_t stream) {
  static std::map<int, std::shared_ptr<Queue>> default_streams;
  const std::lock_guard lock(shared_mutex());
  if (stream == nullptr) {
    std::shared_ptr<Queue>& queue = default_streams[current_device];
    if (!queue) {
      queue = Queue::make();
    }
    return queue;
  }
  const auto found = streams().find(stream);
  return found == streams().end() ? nullptr : found->second->queue;
}

/// Which communicator works on which stream.
std::set<std::pair<const void*, cudaStream_t>>& ties() {
  static std::set<std::pair<const void*, cudaStream_t>> all;
  return all;
}

}  // namespace

namespace standin {

std::string setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

int number(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

void log(const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string path = setting("STANDIN_LOG");
  if (!path.empty()) {
    std::ofstream(path, std::ios::app) << line << '\n';
  }
}

void queue_on(void* stream, std::function<void()> work) {
  if (const auto queue = queue_of(static_cast<cudaStream_t>(stream))) {
    queue->add(std::move(work));
  }
}

bool is_live_stream(void* stream) {
  return queue_of(static_cast<cudaStream_t>(stream)) != nullptr;
}

void tie(const void* communicator, void* stream) {
  const std::lock_guard lock(shared_mutex());
  ties().emplace(communicator, static_cast<cudaStream_t>(stream));
}
void untie(const void* communicator) {
  const std::lock_guard lock(shared_mutex());
  std::erase_if(ties(), [&](const auto& tie) { return tie.first == communicator; });
}

}  // namespace standin

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = standin::number("STANDIN_GPUS", 8);
  const cudaError_t status = answer("cudaGetDeviceCount");
  if (status != cudaSuccess) {
    return status;
  }
  if (*count < 0) {  // as on a machine without a driver
    *count = 0;
    return last_error = cudaErrorInsufficientDriver;
  }
  return last_error = *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = standin::number("STANDIN_GPUS", 8) < 0 ? 0 : standin::number("STANDIN_DRIVER", 13000);
  return answer("cudaDriverGetVersion");
}

cudaError_t cudaSetDevice(int device) {
  current_device = device;
  return answer("cudaSetDevice", std::to_string(device));
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return answer("cudaGetDevice");
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  const int physical = standin::number("STANDIN_FIRST_GPU", 0) + device;
  std::snprintf(properties->name, sizeof properties->name, "stand-in");
  std::memset(properties->uuid.bytes, 0x10 + physical, sizeof properties->uuid.bytes);
  properties->totalGlobalMem = std::size_t{16} << 30U;
  properties->major = 8;
  return answer("cudaGetDeviceProperties");
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  const int physical = standin::number("STANDIN_FIRST_GPU", 0) + device;
  std::snprintf(text, static_cast<std::size_t>(length), "0000:%02X:00.0", 0x10 + physical);
  return answer("cudaDeviceGetPCIBusId");
}

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    default:
      return "unknown error of the stand-in";
  }
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return answer("cudaRuntimeGetVersion");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int) {
  const cudaError_t status = answer("cudaStreamCreateWithFlags");
  if (status == cudaSuccess) {
    auto created = std::make_unique<CUstream_st>();
    *stream = created.get();
    const std::lock_guard lock(shared_mutex());
    streams().emplace(*stream, std::move(created));
  }
  return status;
}

/// As the real one: returns at once, what is queued still runs.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const std::lock_guard lock(shared_mutex());
    for (const auto& [communicator, used] : ties()) {
      if (used == stream) {
        standin::log("MISUSE cudaStreamDestroy under a communicator that uses the stream");
      }
    }
    const auto found = streams().find(stream);
    if (found == streams().end()) {
      return cudaErrorInvalidResourceHandle;
    }
    found->second->queue->close();
    streams().erase(found);
  }
  return answer("cudaStreamDestroy");
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  const cudaError_t status = answer("cudaStreamSynchronize");
  queue->wait_until_empty();
  return status;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  return queue->is_empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  auto created = std::make_unique<CUevent_st>();
  *event = created.get();
  const std::lock_guard lock(shared_mutex());
  events().emplace(*event, std::move(created));
  return answer("cudaEventCreateWithFlags");
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard lock(shared_mutex());
  return events().erase(event) == 1 ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  const auto marker = std::make_shared<Marker>();
  event->latest = marker;
  queue->add([marker] { marker->pass(); });
  return answer("cudaEventRecord");
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  if (const std::shared_ptr<Marker> marker = event->latest) {
    queue->add([marker] { marker->wait(); });
  }
  return answer("cudaStreamWaitEvent");
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return !event->latest || event->latest->is_passed() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->latest) {
    event->latest->wait();
  }
  return answer("cudaEventSynchronize");
}

cudaError_t cudaMalloc(void** memory, std::size_t size) {
  *memory = std::malloc(size);
  return answer("cudaMalloc");
}

cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return answer("cudaFree");
}

cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t size, cudaMemcpyKind, cudaStream_t stream) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  queue->add([=] { std::memcpy(to, from, size); });
  return answer("cudaMemcpyAsync");
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
  const cudaError_t status = cudaMemcpyAsync(to, from, size, kind, nullptr);
  return status == cudaSuccess ? cudaStreamSynchronize(nullptr) : status;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  const auto queue = queue_of(stream);
  if (!queue) {
    return cudaErrorInvalidResourceHandle;
  }
  queue->add([=] { function(argument); });
  return answer("cudaLaunchHostFunc");
}

}  // extern "C"
