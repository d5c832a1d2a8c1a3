#pragma once
// What the tokenizer tests share: golden files, the real model folder, small broken folders.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::tokenizer {

inline std::filesystem::path source_folder() {
  return BATON_SOURCE_DIR;
}
inline std::filesystem::path golden_folder() {
  return source_folder() / "tests/golden/tokenizer";
}

inline std::filesystem::path model_folder() {
  const char* given = std::getenv("BATON_MODEL_DIR");
  return given != nullptr ? std::filesystem::path(given)
                          : source_folder() / ".deps/models/smollm2-135m-instruct";
}

inline base::Json read_golden(const std::filesystem::path& name) {
  return base::read_json_file(golden_folder() / name, base::ErrorKind::kData);
}

/// Number of ids, then the ids: 32-bit little-endian integers, as the golden maker writes them.
inline void add_ids(base::Sha256& digest, const std::vector<TokenId>& ids) {
  std::string bytes;
  const auto add = [&](std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>((value >> shift) & 0xFFU));
    }
  };
  add(static_cast<std::uint32_t>(ids.size()));
  for (const TokenId id : ids) {
    add(static_cast<std::uint32_t>(id));
  }
  digest.add(bytes);
}

/// A folder of its own that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "baton_tokenizer_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace baton::tokenizer
