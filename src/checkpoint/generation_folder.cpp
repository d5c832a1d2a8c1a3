#include "baton/checkpoint/generation_folder.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/checkpoint/training_state_file.hpp"
#include "regular_file.hpp"

namespace baton::checkpoint {

namespace {

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxMarkerBytes = 65;
constexpr std::string_view kTemporary = ".tmp.";

// Takes `prefix` and a number off the front of `name`.
std::optional<std::int64_t> take_number(std::string_view& name, std::string_view prefix) {
  std::int64_t number = 0;
  if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, number);
  if (error != std::errc{} || number < 0) {
    return std::nullopt;
  }
  name = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return number;
}

std::optional<GenerationPath> parse_name(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::string_view rest = name;
  const auto step = take_number(rest, "step-");
  // Other spellings of the same number are not ours.
  if (!step || name != generation_name(*step)) {
    return std::nullopt;
  }
  return GenerationPath{path, *step};
}

bool is_leftover(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::size_t place = name.rfind(kTemporary);
  return place != std::string::npos && parse_name(name.substr(0, place)).has_value();
}

void require_folder(const std::filesystem::path& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode)) {
    throw base::Error(base::ErrorKind::kModel, "no generation of training state",
                      {.where = path.string(),
                       .expected = "a folder",
                       .found = S_ISLNK(facts.st_mode) ? "a symbolic link" : "something else",
                       .fix = "delete it"});
  }
}

template <typename T>
T item(const base::Json& json, const char* name, const std::filesystem::path& path) {
  try {
    return json.at(name).get<T>();
  } catch (const base::Json::exception& error) {
    refuse_content(path, name, "as this program writes it", error.what());
  }
}

void require_equal(const std::filesystem::path& path,
                   const std::string& name,
                   const std::string& expected,
                   const std::string& found) {
  if (expected != found) {
    refuse_content(path, name, expected, found);
  }
}

void read_file_facts(const base::Json& json,
                     const std::filesystem::path& path,
                     Manifest& manifest) {
  const auto files = item<base::Json>(json, "files", path);
  if (!files.is_array() || files.size() != 1) {
    refuse_content(path, "files", "one file", fmt::format("{} entries", files.size()));
  }
  require_equal(path, "files, name", kStateFile, item<std::string>(files[0], "name", path));
  manifest.state_size = item<std::uint64_t>(files[0], "size", path);
  manifest.state_sha256 = item<std::string>(files[0], "sha256", path);
}

}  // namespace

std::string generation_name(std::int64_t step) {
  return fmt::format("step-{:08}", step);
}

FolderContent list_generations(const std::filesystem::path& folder) {
  FolderContent content;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error.value() == ENOENT) {
    return content;
  }
  for (const std::filesystem::directory_iterator end; !error && entries != end;
       entries.increment(error)) {
    const std::filesystem::path& path = entries->path();
    if (const auto generation = parse_name(path)) {
      content.generations.push_back(*generation);
    } else if (is_leftover(path)) {
      content.leftovers.push_back(path);
    }
  }
  if (error) {
    throw base::Error(base::ErrorKind::kStorage, "cannot list a folder of training state",
                      {.where = folder.string(),
                       .expected = "",
                       .found = fmt::format("{} (errno {})", error.message(), error.value()),
                       .fix = "check the path, its permissions and the disk"});
  }
  std::sort(content.generations.begin(), content.generations.end(),
            [](const GenerationPath& a, const GenerationPath& b) { return a.step > b.step; });
  return content;
}

bool Manifest::is_newer_format() const {
  return format_version > kTrainingStateFormatVersion;
}

std::string manifest_text(const expert::TrainingState& state, std::string_view image) {
  const base::OrderedJson json{
      {"kind", kTrainingStateKind},
      {"format_version", kTrainingStateFormatVersion},
      {"task", state.task},
      {"step", state.step},
      {"num_updates", state.num_updates},
      {"num_parameters", state.parameters.size()},
      {"fingerprint", state.identity.fingerprint()},
      {"identity", state.identity.facts()},
      {"files",
       base::OrderedJson::array(
           {{{"name", kStateFile}, {"size", image.size()}, {"sha256", base::sha256_hex(image)}}})}};
  try {
    return json.dump(2) + "\n";
  } catch (const base::OrderedJson::exception& error) {
    BATON_ASSERT(false, error.what());
  }
  return {};
}

Manifest read_manifest(const GenerationPath& generation) {
  require_folder(generation.path);
  const std::filesystem::path marker_path = generation.path / kMarkerFile;
  const std::string marker =
      RegularFile(marker_path, base::Symlinks::kRefuse).read_text(kMaxMarkerBytes);
  const std::filesystem::path path = generation.path / kManifestFile;
  const std::string text = RegularFile(path, base::Symlinks::kRefuse).read_text(kMaxManifestBytes);
  const std::string sum = base::sha256_hex(text);
  if (marker != sum + "\n") {
    refuse_content(marker_path, "", "SHA-256 " + sum + ", of " + kManifestFile, "another text");
  }

  const base::Json json = base::parse_json(text, base::ErrorKind::kModel, path.string());
  require_equal(path, "kind", kTrainingStateKind, item<std::string>(json, "kind", path));
  Manifest manifest;
  manifest.format_version = item<std::int64_t>(json, "format_version", path);
  if (manifest.is_newer_format()) {
    return manifest;
  }
  if (manifest.format_version < kTrainingStateFormatVersion) {
    refuse_content(path, "format_version",
                   fmt::format("{}: the state of an older version of this program is not read, its "
                               "expert is trained from the beginning",
                               kTrainingStateFormatVersion),
                   std::to_string(manifest.format_version));
  }
  manifest.task = item<std::string>(json, "task", path);
  manifest.identity =
      identity_from_json(item<base::Json>(json, "identity", path), path, "identity");
  manifest.step = item<std::int64_t>(json, "step", path);
  manifest.num_updates = item<std::int64_t>(json, "num_updates", path);
  manifest.num_parameters = item<std::int64_t>(json, "num_parameters", path);
  read_file_facts(json, path, manifest);
  require_equal(path, "fingerprint", manifest.identity.fingerprint(),
                item<std::string>(json, "fingerprint", path));
  require_equal(path, "step", generation.path.filename().string(), generation_name(manifest.step));
  return manifest;
}

void verify_state_file(const GenerationPath& generation, const Manifest& manifest) {
  const std::filesystem::path path = generation.path / kStateFile;
  RegularFile file(path, base::Symlinks::kRefuse);
  require_equal(path, "size", fmt::format("{} bytes", manifest.state_size),
                fmt::format("{} bytes", file.size()));
  require_equal(path, "SHA-256", manifest.state_sha256, file.sha256());
}

std::optional<std::string> why_not_valid(const GenerationPath& generation) {
  try {
    const Manifest manifest = read_manifest(generation);
    if (manifest.is_newer_format()) {
      return "of a newer format";
    }
    verify_state_file(generation, manifest);
    return std::nullopt;
  } catch (const base::Error& error) {
    return in_one_line(error);
  }
}

std::string in_one_line(const base::Error& error) {
  const base::ErrorDetails& details = error.details();
  std::string line = error.summary() + ": " + details.where;
  if (!details.expected.empty()) {
    line += ": expected " + details.expected;
  }
  if (!details.found.empty()) {
    line += ", found " + details.found;
  }
  // Damaged files are quoted here: one line of UTF-8 all the same.
  while (const auto place = base::find_invalid_utf8(line)) {
    line[*place] = '?';
  }
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  return line;
}

void refuse_newer_format(const GenerationPath& generation, const Manifest& manifest) {
  throw base::Error(
      base::ErrorKind::kModel, "training state was written by a newer version of this program",
      {.where = generation.path.string(),
       .expected = fmt::format("format version {}", kTrainingStateFormatVersion),
       .found = fmt::format("format version {}", manifest.format_version),
       .fix =
           "use the version of the program that wrote it, delete the folder to train this expert "
           "from its beginning, or train into another folder"});
}

}  // namespace baton::checkpoint
