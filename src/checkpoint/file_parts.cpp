#include "file_parts.hpp"

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "h5_state.hpp"

namespace baton::checkpoint {

void publish_h5(const std::filesystem::path& path, const std::function<void(H5File&)>& fill) {
  if (path.has_parent_path()) {
    base::make_directories(path.parent_path());
  }
  H5File file = H5File::create(path);
  fill(file);
  file.close();
}

std::int64_t check_kind(const H5File& file, const std::string& kind, std::int64_t newest) {
  const std::string found = file.text("kind");
  if (found != kind) {
    throw base::Error(base::ErrorKind::kModel,
                      "an HDF5 file holds something else than what is read here",
                      {.where = file.path().string() + ", attribute kind",
                       .expected = kind,
                       .found = found,
                       .fix = "check the path"});
  }
  const std::int64_t version = file.integer("format_version");
  if (version < 1 || version > newest) {
    throw base::Error(
        base::ErrorKind::kModel,
        version > newest ? "a file was written by a newer version of this program"
                         : "a file has a format version that does not exist",
        {.where = file.path().string() + ", attribute format_version",
         .expected = "1 to " + std::to_string(newest),
         .found = std::to_string(version),
         .fix = "use the version of the program that wrote it, or train into another folder"});
  }
  return version;
}

void check_digest(const H5File& file, const std::string& attribute, const std::string& computed) {
  const std::string stored = file.text(attribute);
  if (stored != computed) {
    refuse_h5(file.path(), "attribute " + attribute, "SHA-256 " + stored + " of the content",
              "SHA-256 " + computed);
  }
}

void refuse_content(const std::filesystem::path& path,
                    const std::string& item,
                    const std::string& expected,
                    const std::string& found) {
  refuse_h5(path, item, expected, found);
}

}  // namespace baton::checkpoint
