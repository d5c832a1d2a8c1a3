#pragma once
// Which rows of a task its rehearsal buffer keeps: a uniform sample, or those nearest to the centres
// of clusters of what the frozen base makes of them (arXiv 2403.01244's KMeansSel; there on SimCSE
// embeddings). Pure. Used by every method that keeps buffers.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/example.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/method/see_rows.hpp"

namespace baton::method {

inline constexpr std::size_t kBufferClusters = 20;

struct BufferSize {
  double ratio = 0;        // of the task's rows
  std::int64_t floor = 0;  // rows; a task of fewer is kept whole
  bool by_clusters = false;
  /// How later experts draw from it: as many rows more are kept as they hold out, so that this
  /// costs them no negatives.
  std::optional<ReconstructionOptions> later = {};
};

/// As the section `method` asks for it.
BufferSize buffer_size(const config::MethodConfig& keys);

/// round(ratio x |D|) rows, at least `floor` and at least one, and those that are held out on top;
/// as far as there are so many.
std::size_t num_buffer_rows(const BufferSize& size, std::size_t num_task_rows);
/// Whether make_buffer wants features: not of a task that is kept whole.
bool chooses_by_features(const BufferSize& size, std::size_t num_task_rows);

/// So many rows, in file order. Its seed is named by the task, so it does not depend on other
/// tasks. `features`: one list a row; without them the sample is uniform. A ratio outside (0, 1] is
/// a kUsage error, no row at all a kData error.
data::RehearsalBuffer make_buffer(const std::string& task,
                                  std::span<const data::Example> train_rows,
                                  const BufferSize& size,
                                  std::uint64_t run_seed,
                                  std::span<const std::vector<double>> features = {});

}  // namespace baton::method
