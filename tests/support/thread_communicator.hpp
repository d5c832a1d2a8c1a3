#pragma once
// Threads as ranks: a group whose members are threads of one process, for tests of what ranks do
// together.

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::testing {

/// What the members of one group share: every rank brings bytes, every rank gets all of them.
class ThreadMeeting {
 public:
  explicit ThreadMeeting(int size) : size_(size), brought_(static_cast<std::size_t>(size)) {}

  int size() const { return size_; }

  std::vector<std::string> exchange(int rank, const std::string& bytes) {
    std::unique_lock lock(mutex_);
    check();
    brought_[static_cast<std::size_t>(rank)] = bytes;
    const int meeting = meeting_;
    if (++num_arrived_ == size_) {
      num_arrived_ = 0;
      ++meeting_;
      received_ = brought_;  // read by all before the next meeting can complete
      arrived_.notify_all();
    } else {
      arrived_.wait(lock, [&] { return meeting_ != meeting || !abort_reason_.empty(); });
      if (meeting_ == meeting) {
        check();
      }
    }
    return received_;
  }

  void abort(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    abort_reason_ = reason;
    arrived_.notify_all();
  }

 private:
  void check() const {
    if (!abort_reason_.empty()) {
      throw base::Error(base::ErrorKind::kCommunication, "the group was ended",
                        {.found = abort_reason_});
    }
  }

  const int size_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  int num_arrived_ = 0;
  int meeting_ = 0;
  std::vector<std::string> brought_;
  std::vector<std::string> received_;
  std::string abort_reason_;
};

class ThreadCommunicator final : public comm::Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadMeeting> meeting, int rank)
      : meeting_(std::move(meeting)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return meeting_->size(); }
  const char* backend() const override { return "thread"; }

  void all_reduce_sum(comm::FloatBuffer buffer) override {
    const std::vector<std::string> parts = meeting_->exchange(rank_, bytes_of(buffer));
    std::vector<float> sum(buffer.count, 0.0F);
    std::vector<float> part(buffer.count);
    for (const std::string& bytes : parts) {
      std::memcpy(part.data(), bytes.data(), bytes.size());
      for (std::size_t i = 0; i < part.size(); ++i) {
        sum[i] += part[i];
      }
    }
    std::memcpy(buffer.data, sum.data(), sum.size() * sizeof(float));
  }

  double all_reduce_sum(double value) override {
    double sum = 0;
    for (const double part : all_of(value)) {
      sum += part;
    }
    return sum;
  }

  std::int64_t all_reduce_max(std::int64_t value) override {
    std::int64_t largest = value;
    for (const std::int64_t part : all_of(value)) {
      largest = std::max(largest, part);
    }
    return largest;
  }

  void broadcast(comm::FloatBuffer buffer, int root) override {
    const std::string bytes = broadcast_bytes(bytes_of(buffer), root);
    std::memcpy(buffer.data, bytes.data(), bytes.size());
  }

  void all_gather(comm::FloatBuffer mine, comm::FloatBuffer received) override {
    std::size_t at = 0;
    for (const std::string& bytes : meeting_->exchange(rank_, bytes_of(mine))) {
      std::memcpy(received.data + at, bytes.data(), bytes.size());
      at += bytes.size() / sizeof(float);
    }
  }

  std::vector<std::string> all_gather_bytes(const std::string& mine) override {
    return meeting_->exchange(rank_, mine);
  }

  std::string broadcast_bytes(const std::string& mine, int root) override {
    return meeting_->exchange(rank_, mine)[static_cast<std::size_t>(root)];
  }

  void barrier() override { meeting_->exchange(rank_, ""); }
  void close() override { barrier(); }
  void abort(const std::string& reason) noexcept override { meeting_->abort(reason); }

 private:
  static std::string bytes_of(comm::FloatBuffer buffer) {
    return {reinterpret_cast<const char*>(buffer.data), buffer.count * sizeof(float)};
  }

  template <typename T>
  std::vector<T> all_of(T value) {
    std::vector<T> values;
    for (const std::string& bytes : meeting_->exchange(
             rank_, std::string(reinterpret_cast<const char*>(&value), sizeof value))) {
      T part{};
      std::memcpy(&part, bytes.data(), sizeof part);
      values.push_back(part);
    }
    return values;
  }

  std::shared_ptr<ThreadMeeting> meeting_;
  int rank_;
};

/// Runs `work` as `size` ranks. A rank that throws ends the group; the exception of the lowest rank
/// that threw of its own accord is thrown here.
inline void run_ranks(int size, const std::function<void(comm::Communicator&)>& work) {
  const auto meeting = std::make_shared<ThreadMeeting>(size);
  std::vector<std::exception_ptr> own(static_cast<std::size_t>(size));
  std::vector<std::exception_ptr> caused(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCommunicator communicator(meeting, rank);
      try {
        work(communicator);
      } catch (const base::Error& error) {
        auto& list = error.kind() == base::ErrorKind::kCommunication ? caused : own;
        list[static_cast<std::size_t>(rank)] = std::current_exception();
        communicator.abort(error.what());
      } catch (...) {
        own[static_cast<std::size_t>(rank)] = std::current_exception();
        communicator.abort("a rank failed");
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const auto& list : {own, caused}) {
    for (const std::exception_ptr& exception : list) {
      if (exception) {
        std::rethrow_exception(exception);
      }
    }
  }
}

}  // namespace baton::testing
