#pragma once
// The rows one voice will answer, gathered from whatever batches they were read in and decoded as
// full ones: a decoding step reads all weights once, for one row or for many. Which rows are decoded
// together depends on the order they come in alone.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "baton/eval/answering.hpp"

namespace baton::eval {

class DecodeQueue {
 public:
  using Deliver = std::function<void(std::size_t id, Answer answer)>;

  /// `deliver` gets every row's answer. The voice must outlive the queue.
  DecodeQueue(const Voice& voice, std::int64_t batch_size, Deliver deliver);

  /// Row i of `rows` is to be answered as ids[i]. Decodes whenever a batch is full, so that fewer
  /// rows than one batch wait.
  void add(Prefill rows, std::vector<std::size_t> ids);
  /// Decodes the rest.
  void finish();
  std::int64_t num_batches() const { return num_batches_; }

 private:
  const Voice& voice_;
  std::size_t batch_size_;
  Deliver deliver_;
  std::int64_t num_batches_ = 0;
  std::vector<Prefill> parts_;
  std::vector<std::size_t> ids_;  // of the rows in parts_, in their order
};

/// Adds those rows of `rows` that `chosen` names (indices, ascending), copying only where some are
/// left out.
void add_chosen(DecodeQueue& queue,
                Prefill rows,
                const std::vector<std::int64_t>& chosen,
                std::vector<std::size_t> ids);

}  // namespace baton::eval
