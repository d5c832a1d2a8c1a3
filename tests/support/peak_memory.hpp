#pragma once
// The most memory that tensors on the CPU took beyond what was there when this was made, by an
// allocator that counts in the usual one's place. One at a time.

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>

namespace baton::test {

class PeakMemory {
 public:
  PeakMemory() : usual_(c10::GetCPUAllocator()) {
    counting_.usual = usual_;
    start_ = counting_.held;
    counting_.peak = start_;
    c10::SetCPUAllocator(&counting_, kPriority);
  }
  ~PeakMemory() { c10::SetCPUAllocator(usual_, kPriority); }
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;

  std::size_t peak_bytes() const { return counting_.peak - start_; }

 private:
  static constexpr std::uint8_t kPriority = 255;

  // Lives as long as the program: what was allocated under it is freed at any time.
  struct Counting final : c10::Allocator {
    struct Block {
      c10::DataPtr data;
      std::size_t size = 0;
    };

    c10::DataPtr allocate(std::size_t size) override {
      auto block = std::make_unique<Block>(Block{usual->allocate(size), size});
      held += size;
      peak = std::max(peak.load(), held.load());
      void* data = block->data.get();
      return {data, block.release(), &free, c10::Device(c10::DeviceType::CPU)};
    }
    void copy_data(void* to, const void* from, std::size_t count) const override {
      default_copy_data(to, from, count);
    }
    static void free(void* block) {
      held -= static_cast<Block*>(block)->size;
      delete static_cast<Block*>(block);
    }

    c10::Allocator* usual;
    static inline std::atomic<std::size_t> held = 0;
    static inline std::atomic<std::size_t> peak = 0;
  };

  static Counting counting_;
  c10::Allocator* usual_;
  std::size_t start_ = 0;
};

inline PeakMemory::Counting PeakMemory::counting_;

}  // namespace baton::test
