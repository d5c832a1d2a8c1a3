#pragma once
// safetensors files, read through a memory map and trusted with nothing: header at most 100 MB,
// JSON depth and duplicates checked, every tensor inside the file, no holes, no overlaps, sizes
// that match shape and type. Also sharded folders with model.safetensors.index.json, and a writer.
// Errors are kModel and name the file and the tensor. Pickle files (*.bin, *.pt, *.pth) are refused
// with the name of the safe format.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "baton/base/file.hpp"

namespace baton::weights {

enum class DType { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };
std::size_t byte_size(DType dtype);
const char* dtype_name(DType dtype);  // "F32", "BF16", ... as in the file

/// A tensor inside a mapped file; valid as long as its file lives.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  base::MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// All tensors of a model folder: model.safetensors, or the shards its index names (plain file
/// names inside the folder only: no "..", no absolute path, no link leading out of the folder).
class ModelWeights {
 public:
  explicit ModelWeights(const std::filesystem::path& folder);
  /// A missing tensor is a kModel error that names it and the nearest name.
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  /// SHA-256 over config.json's facts that change results and every tensor's name, dtype, shape and
  /// bytes: independent of how the weights are sharded.
  std::string fingerprint() const;

 private:
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, TensorView> tensors_;
};

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes a file other readers load (tensors in name order, 8-byte aligned data), atomically.
void write_safetensors(const std::filesystem::path& path,
                       std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace baton::weights
