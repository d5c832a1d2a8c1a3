#pragma once
// Chunks of an evaluation that are done, on disk until all are:
// RUN/eval/partial/<fingerprint>/chunk-00012. An evaluation that was cut off goes on from them; one
// of other experts (their files' SHA-256 and thresholds), queries or settings has another
// fingerprint.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "baton/eval/evaluator.hpp"

namespace baton::experiment {

class PartialEvaluation {
 public:
  /// `facts`: everything that the records depend on besides the queries, as text.
  PartialEvaluation(const std::filesystem::path& eval_folder,
                    const eval::EvaluationInput& input,
                    const std::string& facts);

  /// Makes the folder and removes those of other evaluations; one process calls it before the
  /// others save.
  void open() const;
  /// Numbers of the chunks that are there, whole; damaged ones are removed.
  std::vector<bool> finished(std::size_t num_chunks) const;
  void save(std::size_t chunk, const eval::ChunkResult& result) const;
  /// kModel when it is damaged.
  eval::ChunkResult load(std::size_t chunk) const;
  /// All of it.
  void remove() const;

 private:
  std::filesystem::path path_of(std::size_t chunk) const;

  std::filesystem::path root_;
  std::filesystem::path folder_;
};

}  // namespace baton::experiment
