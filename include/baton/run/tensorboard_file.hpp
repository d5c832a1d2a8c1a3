#pragma once
// Numbers over steps as TensorBoard reads them: an event file, which is a row of TFRecords (length,
// bytes, their masked CRC-32C) with one protobuf message `tensorflow.Event` each. Only what scalars
// need is written; no library of a size to depend on writes it. One thread at a time.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace baton::run {

struct Scalar {
  std::string tag;  // "train/loss": the part before the slash is its group on the page
  double value = 0;
};

class TensorboardFile {
 public:
  /// Begins anew in `folder`, which is made: event files that lie there go, so that no step is there
  /// twice. Times are seconds since 1970. kStorage when it cannot be written, as for write().
  TensorboardFile(const std::filesystem::path& folder, double time);

  /// Readers see it at once.
  void write(std::int64_t step, double time, std::span<const Scalar> scalars);

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace baton::run
