#include "decode_queue.hpp"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::eval {
namespace {

std::vector<std::int64_t> rows_from_to(std::size_t begin, std::size_t end) {
  std::vector<std::int64_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), static_cast<std::int64_t>(begin));
  return rows;
}

}  // namespace

DecodeQueue::DecodeQueue(const Voice& voice, std::int64_t batch_size, Deliver deliver)
    : voice_(voice),
      batch_size_(static_cast<std::size_t>(batch_size)),
      deliver_(std::move(deliver)) {
  BATON_ASSERT(batch_size > 0, fmt::format("batch size {}", batch_size));
}

void DecodeQueue::add(Prefill rows, std::vector<std::size_t> ids) {
  BATON_ASSERT(static_cast<std::size_t>(rows.num_rows()) == ids.size(),
               fmt::format("{} rows, {} ids", rows.num_rows(), ids.size()));
  const std::size_t room = batch_size_ - ids_.size();
  if (ids.size() > room) {
    Prefill rest = rows.select_rows(rows_from_to(room, ids.size()));
    std::vector<std::size_t> rest_ids(ids.begin() + static_cast<std::ptrdiff_t>(room), ids.end());
    rows = rows.select_rows(rows_from_to(0, room));
    ids.resize(room);
    add(std::move(rows), std::move(ids));
    add(std::move(rest), std::move(rest_ids));
    return;
  }
  parts_.push_back(std::move(rows));
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  if (ids_.size() == batch_size_) {
    finish();
  }
}

void DecodeQueue::finish() {
  if (ids_.empty()) {
    return;
  }
  ++num_batches_;
  const std::vector<std::size_t> ids = std::exchange(ids_, {});
  std::vector<Answer> answers = voice_.decode(Prefill::join(std::exchange(parts_, {})));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    deliver_(ids[i], std::move(answers[i]));
  }
}

void add_chosen(DecodeQueue& queue,
                Prefill rows,
                const std::vector<std::int64_t>& chosen,
                std::vector<std::size_t> ids) {
  if (chosen.empty()) {
    return;
  }
  const bool is_all = static_cast<std::int64_t>(chosen.size()) == rows.num_rows();
  queue.add(is_all ? std::move(rows) : rows.select_rows(chosen), std::move(ids));
}

}  // namespace baton::eval
