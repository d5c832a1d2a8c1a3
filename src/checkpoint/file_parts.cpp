#include "baton/checkpoint/file_parts.hpp"

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

void write_identity(H5File& file, const expert::Identity& identity) {
  std::string json;
  try {
    json = base::Json(identity.facts()).dump();
  } catch (const base::Json::exception& error) {
    BATON_ASSERT(false, error.what());
  }
  file.set_text("fingerprint", identity.fingerprint());
  file.set_text("identity", json);
}

expert::Identity read_identity(const H5File& file) {
  const std::string item = "attribute identity";
  const base::Json json = base::parse_json(file.text("identity"), base::ErrorKind::kModel,
                                           file.path().string() + ", " + item);
  expert::Identity identity = identity_from_json(json, file.path(), item);
  const std::string fingerprint = file.text("fingerprint");
  if (fingerprint != identity.fingerprint()) {
    refuse_content(file.path(), "attribute fingerprint",
                   identity.fingerprint() + ", as the identity gives", fingerprint);
  }
  return identity;
}

expert::Identity identity_from_json(const base::Json& json,
                                    const std::filesystem::path& path,
                                    const std::string& where) {
  expert::Identity identity;
  if (!json.is_object()) {
    refuse_content(path, where, "a JSON object", json.type_name());
  }
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) {
      refuse_content(path, where + ", " + name, "a JSON string", value.type_name());
    }
    identity.set(name, value.get<std::string>());
  }
  return identity;
}

void refuse_content(const std::filesystem::path& path,
                    const std::string& item,
                    const std::string& expected,
                    const std::string& found) {
  refuse_h5(path, item, expected, found);
}

}  // namespace baton::checkpoint
