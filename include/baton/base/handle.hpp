#pragma once
// The move-only owner of a C handle. `Closer` is a stateless callable that must not throw;
// `kInvalid` is the value that owns nothing.

#include <utility>

namespace baton::base {

template <typename T, typename Closer, T kInvalid = T{}>
class Handle {
 public:
  Handle() noexcept = default;
  explicit Handle(T value) noexcept : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, kInvalid)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, kInvalid);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  T get() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ != kInvalid; }
  T release() noexcept { return std::exchange(value_, kInvalid); }
  void reset() noexcept {
    if (value_ != kInvalid) {
      Closer{}(std::exchange(value_, kInvalid));
    }
  }

 private:
  T value_ = kInvalid;
};

}  // namespace baton::base
