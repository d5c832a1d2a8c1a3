#include "baton/experiment/partial_evaluation.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/wire.hpp"

namespace baton::experiment {

namespace {

constexpr std::size_t kDigestLength = 64;

std::string fingerprint_of(const eval::EvaluationInput& input, const std::string& facts) {
  base::Sha256 digest;
  digest.add_field("evaluation 3");
  digest.add_field(facts);
  for (const eval::EvalTask& task : input.tasks) {
    digest.add_field(task.name);
    for (const eval::EvalQuery& query : task.queries) {
      digest.add_field(query.id);
      std::string prompt;
      for (const auto token : query.prompt) {
        prompt += std::to_string(token) + " ";
      }
      digest.add_field(prompt);
    }
  }
  return digest.hex();
}

}  // namespace

PartialEvaluation::PartialEvaluation(const std::filesystem::path& eval_folder,
                                     const eval::EvaluationInput& input,
                                     const std::string& facts)
    : root_(eval_folder / "partial"), folder_(root_ / fingerprint_of(input, facts).substr(0, 16)) {}

void PartialEvaluation::open() const {
  base::make_directories(folder_);
  for (const auto& entry : std::filesystem::directory_iterator(root_)) {
    if (entry.path().filename() != folder_.filename()) {
      base::log_info(
          "eval",
          fmt::format(
              "removing a half-finished evaluation of other experts, queries or settings: {}",
              entry.path().string()));
      std::error_code ignored;
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
}

std::vector<bool> PartialEvaluation::finished(std::size_t num_chunks) const {
  std::vector<bool> there(num_chunks, false);
  for (std::size_t chunk = 0; chunk < num_chunks; ++chunk) {
    if (!std::filesystem::exists(path_of(chunk))) {
      continue;
    }
    try {
      load(chunk);
      there[chunk] = true;
    } catch (const base::Error& error) {
      base::log_warning("eval", fmt::format("a chunk is computed again: {}", error.what()));
      std::error_code ignored;
      std::filesystem::remove(path_of(chunk), ignored);
    }
  }
  return there;
}

void PartialEvaluation::save(std::size_t chunk, const eval::ChunkResult& result) const {
  const std::string bytes = base::to_bytes(result);
  base::write_file_atomically(path_of(chunk), base::sha256_hex(bytes) + bytes);
}

eval::ChunkResult PartialEvaluation::load(std::size_t chunk) const {
  const std::filesystem::path path = path_of(chunk);
  const std::string content = base::read_file(path, base::ErrorKind::kModel);
  const std::string expected = content.substr(0, std::min(kDigestLength, content.size()));
  const std::string bytes = content.substr(expected.size());
  if (base::sha256_hex(bytes) != expected) {
    throw base::Error(base::ErrorKind::kModel, "a chunk of an evaluation is damaged",
                      {.where = path.string(),
                       .expected = "SHA-256 " + expected,
                       .found = base::sha256_hex(bytes),
                       .fix = "remove the file; the chunk is computed again"});
  }
  return eval::chunk_result_from(bytes, path.string());
}

void PartialEvaluation::remove() const {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

std::filesystem::path PartialEvaluation::path_of(std::size_t chunk) const {
  return folder_ / fmt::format("chunk-{:05d}", chunk);
}

}  // namespace baton::experiment
