// A chunk's replies as they lie on disk until all chunks are there, and sums of its seconds.

#include "baton/base/error.hpp"
#include "baton/base/wire.hpp"
#include "baton/eval/evaluator.hpp"

namespace baton::eval {

RankTimings& RankTimings::operator+=(const RankTimings& other) {
  prefill_seconds += other.prefill_seconds;
  decode_seconds += other.decode_seconds;
  total_seconds += other.total_seconds;
  num_batches += other.num_batches;
  num_decode_batches += other.num_decode_batches;
  return *this;
}

ChunkResult chunk_result_from(const std::string& bytes, const std::string& origin) {
  try {
    return base::from_bytes<ChunkResult>(bytes, "a chunk of an evaluation");
  } catch (const base::Error& error) {
    throw base::Error(base::ErrorKind::kModel, error.summary(),
                      {.where = origin,
                       .expected = error.details().expected,
                       .found = error.details().found,
                       .fix = "remove the file; the chunk is computed again"});
  }
}

}  // namespace baton::eval
