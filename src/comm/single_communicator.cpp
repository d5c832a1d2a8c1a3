#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"
#include "buffer_check.hpp"

namespace baton::comm {
namespace {

/// Identity operations with the same checks as a real group.
class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const char* backend() const override { return "single"; }

  void all_reduce_sum(FloatBuffer buffer) override { check(buffer); }
  double all_reduce_sum(double value) override {
    check_open();
    return 0.0 + value;  // as in a larger group: the sum starts at zero
  }
  std::int64_t all_reduce_max(std::int64_t value) override {
    check_open();
    return value;
  }
  void broadcast(FloatBuffer buffer, int root) override {
    check_root(root);
    check(buffer);
  }
  void all_gather(FloatBuffer mine, FloatBuffer received) override {
    check(mine);
    check(received);
    check_gather_sizes(mine, received, 1);
    if (mine.data == received.data) {
      return;
    }
    check_host_buffer(mine, "all_gather", backend());
    check_host_buffer(received, "all_gather", backend());
    std::copy_n(mine.data, mine.count, received.data);
  }
  std::vector<std::string> all_gather_bytes(const std::string& mine) override {
    check_open();
    return {mine};
  }
  std::string broadcast_bytes(const std::string& mine, int root) override {
    check_root(root);
    return mine;
  }
  void barrier() override { check_open(); }
  void close() override {
    check_open();
    ended_ = true;
  }
  void abort(const std::string&) noexcept override { ended_ = true; }

 private:
  void check_open() const {
    if (ended_) {
      throw base::Error(base::ErrorKind::kCommunication, "a group of ranks was used after its end",
                        {.where = "rank 0 of 1"});
    }
  }
  void check_root(int root) const {
    check_open();
    BATON_ASSERT(root == 0, fmt::format("root {} of 1", root));
  }
  void check(const FloatBuffer& buffer) const {
    check_open();
    BATON_ASSERT(buffer.data != nullptr || buffer.count == 0,
                 fmt::format("null buffer of {}", buffer.count));
  }

  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Communicator> make_single_communicator() {
  return std::make_unique<SingleCommunicator>();
}

}  // namespace baton::comm
