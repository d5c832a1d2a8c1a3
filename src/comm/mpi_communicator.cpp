#include "mpi_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "buffer_check.hpp"

namespace baton::comm {
namespace {

constexpr std::size_t kMaxMpiCount = std::numeric_limits<int>::max();

/// Calls piece(offset, count) until `total` elements are covered; count never exceeds `limit`.
template <typename Piece>
void in_pieces(std::size_t total, std::size_t limit, Piece piece) {
  for (std::size_t offset = 0; offset < total; offset += limit) {
    piece(offset, static_cast<int>(std::min(limit, total - offset)));
  }
}

/// `count` floats that follow one another every `stride_count` floats: lets one MPI_Allgather put
/// the pieces of all ranks at their places in the whole.
MpiTypeHandle strided_piece(int count, std::size_t stride_count) {
  MPI_Datatype contiguous = MPI_DATATYPE_NULL;
  BATON_MPI(MPI_Type_contiguous(count, MPI_FLOAT, &contiguous));
  const MpiTypeHandle owned_contiguous(contiguous);
  MPI_Datatype resized = MPI_DATATYPE_NULL;
  BATON_MPI(MPI_Type_create_resized(contiguous, 0,
                                    static_cast<MPI_Aint>(stride_count * sizeof(float)), &resized));
  MpiTypeHandle owned_resized(resized);
  BATON_MPI(MPI_Type_commit(&resized));
  return owned_resized;
}

}  // namespace

MpiCommunicator::MpiCommunicator(MpiCommHandle handle)
    : handle_(std::move(handle)), piece_limit_(kMaxMpiCount) {
  BATON_MPI(MPI_Comm_rank(handle_.get(), &rank_));
  BATON_MPI(MPI_Comm_size(handle_.get(), &size_));
}

MpiCommunicator::~MpiCommunicator() {
  if (handle_) {
    handle_.release();
    if (ended_because_.empty()) {
      base::log_warning("comm",
                        fmt::format("a group of {} ranks was dropped without close()", size_));
    }
  }
}

MPI_Comm MpiCommunicator::usable() const {
  if (!handle_ || !ended_because_.empty() || !mpi_is_running()) {
    const std::string ended = mpi_is_running() ? "closed" : "MPI was ended";
    throw base::Error(base::ErrorKind::kCommunication, "a group of ranks was used after its end",
                      {.where = fmt::format("rank {} of {}", rank_, size_),
                       .found = ended_because_.empty() ? ended : "aborted: " + ended_because_});
  }
  return handle_.get();
}

void MpiCommunicator::check_root(int root) const {
  BATON_ASSERT(root >= 0 && root < size_, fmt::format("root {} of {}", root, size_));
}

template <typename Work>
void MpiCommunicator::collective(const char* operation, Work work) {
  const MPI_Comm group = usable();
  const ActivityCounter::Scope scope(activity_);
  try {
    work(group);
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kCommunication) {
      throw;
    }
    base::ErrorDetails details = error.details();
    details.where =
        fmt::format("{} on rank {} of a group of {}, its collective number {}: {}", operation,
                    rank_, size_, activity_.read().num_collectives, details.where);
    throw base::Error(error.kind(), error.summary(), details);
  }
}

void MpiCommunicator::all_reduce_sum(FloatBuffer buffer) {
  usable();
  check_host_buffer(buffer, "all_reduce_sum", backend());
  collective("all_reduce_sum", [&](MPI_Comm group) {
    in_pieces(buffer.count, piece_limit_, [&](std::size_t offset, int count) {
      BATON_MPI(
          MPI_Allreduce(MPI_IN_PLACE, buffer.data + offset, count, MPI_FLOAT, MPI_SUM, group));
    });
  });
}

double MpiCommunicator::all_reduce_sum(double value) {
  std::vector<double> values(static_cast<std::size_t>(size_));
  collective("all_reduce_sum of one number", [&](MPI_Comm group) {
    BATON_MPI(MPI_Allgather(&value, 1, MPI_DOUBLE, values.data(), 1, MPI_DOUBLE, group));
  });
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::int64_t MpiCommunicator::all_reduce_max(std::int64_t value) {
  collective("all_reduce_max", [&](MPI_Comm group) {
    BATON_MPI(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MAX, group));
  });
  return value;
}

void MpiCommunicator::broadcast(FloatBuffer buffer, int root) {
  usable();
  check_root(root);
  check_host_buffer(buffer, "broadcast", backend());
  collective("broadcast", [&](MPI_Comm group) {
    in_pieces(buffer.count, piece_limit_, [&](std::size_t offset, int count) {
      BATON_MPI(MPI_Bcast(buffer.data + offset, count, MPI_FLOAT, root, group));
    });
  });
}

void MpiCommunicator::all_gather(FloatBuffer mine, FloatBuffer received) {
  usable();
  check_host_buffer(mine, "all_gather", backend());
  check_host_buffer(received, "all_gather", backend());
  check_gather_sizes(mine, received, size_);
  collective("all_gather", [&](MPI_Comm group) {
    in_pieces(mine.count, piece_limit_, [&](std::size_t offset, int count) {
      const MpiTypeHandle piece = strided_piece(count, mine.count);
      BATON_MPI(MPI_Allgather(mine.data + offset, count, MPI_FLOAT, received.data + offset, 1,
                              piece.get(), group));
    });
  });
}

std::vector<std::string> MpiCommunicator::all_gather_bytes(const std::string& mine) {
  std::vector<std::string> all(static_cast<std::size_t>(size_));
  collective("all_gather_bytes", [&](MPI_Comm group) { gather_bytes(mine, all, group); });
  return all;
}

void MpiCommunicator::gather_bytes(const std::string& mine,
                                   std::vector<std::string>& all,
                                   MPI_Comm group) {
  const auto my_length = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> lengths(all.size());
  BATON_MPI(MPI_Allgather(&my_length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, group));

  const auto total =
      static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  if (total > piece_limit_) {
    for (std::size_t r = 0; r < all.size(); ++r) {
      all[r] =
          std::cmp_equal(r, rank_) ? mine : std::string(static_cast<std::size_t>(lengths[r]), '\0');
      broadcast_pieces(all[r].data(), all[r].size(), static_cast<int>(r));
    }
    return;
  }
  std::vector<int> counts(lengths.begin(), lengths.end());
  std::vector<int> offsets(counts.size(), 0);
  std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
  std::string joined(total, '\0');
  BATON_MPI(MPI_Allgatherv(mine.data(), static_cast<int>(mine.size()), MPI_BYTE, joined.data(),
                           counts.data(), offsets.data(), MPI_BYTE, group));
  for (std::size_t r = 0; r < all.size(); ++r) {
    all[r] =
        joined.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r]));
  }
}

std::string MpiCommunicator::broadcast_bytes(const std::string& mine, int root) {
  usable();
  check_root(root);
  std::string bytes = rank_ == root ? mine : std::string();
  collective("broadcast_bytes", [&](MPI_Comm group) {
    auto length = static_cast<std::int64_t>(bytes.size());
    BATON_MPI(MPI_Bcast(&length, 1, MPI_INT64_T, root, group));
    bytes.resize(static_cast<std::size_t>(length));
    broadcast_pieces(bytes.data(), bytes.size(), root);
  });
  return bytes;
}

void MpiCommunicator::broadcast_pieces(char* bytes, std::size_t count, int root) {
  in_pieces(count, piece_limit_, [&](std::size_t offset, int piece) {
    BATON_MPI(MPI_Bcast(bytes + offset, piece, MPI_BYTE, root, handle_.get()));
  });
}

void MpiCommunicator::barrier() {
  collective("barrier", [](MPI_Comm group) { BATON_MPI(MPI_Barrier(group)); });
}

void MpiCommunicator::close() {
  usable();
  MPI_Comm communicator = handle_.release();
  BATON_MPI(MPI_Comm_free(&communicator));
}

void MpiCommunicator::abort(const std::string& reason) noexcept {
  try {
    ended_because_ = reason.empty() ? "no reason given" : reason;
    base::log(base::LogLevel::kError, "comm",
              fmt::format("group of {} ranks aborted: {}", size_, reason));
  } catch (...) {  // logging is a courtesy on this path
  }
}

void MpiCommunicator::set_piece_limit(std::size_t max_elements) {
  BATON_ASSERT(max_elements > 0 && max_elements <= kMaxMpiCount,
               fmt::format("limit {}", max_elements));
  piece_limit_ = max_elements;
}

}  // namespace baton::comm
