#include "export_folder.hpp"

#include <system_error>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"

namespace baton::weights {
namespace {

// What keeps the folder from being written to; "" when nothing does.
std::string foreign_in(const std::filesystem::path& out, const ExportKind& kind) {
  std::error_code status;
  bool is_empty = true;
  for (const auto& entry : std::filesystem::directory_iterator(out)) {
    is_empty = false;
    const std::string name = entry.path().filename().string();
    if (kind.folders != nullptr && entry.is_directory(status)) {
      const std::string inside = foreign_in(entry.path(), *kind.folders);
      if (!inside.empty()) {
        return name + ": " + inside;
      }
    } else if (!kind.files.contains(name)) {
      return name;
    }
  }
  const std::filesystem::path readme = out / kExportReadme;
  const bool marked =
      std::filesystem::exists(readme, status) &&
      base::read_file(readme, base::ErrorKind::kUsage).find(kExportMark) != std::string::npos;
  return is_empty || marked ? "" : "files that another program wrote";
}

}  // namespace

const ExportKind& adapter_export() {
  static const ExportKind kind{{kExportReadme, kAdapterConfig, kAdapterTensors}};
  return kind;
}

const ExportKind& chain_export() {
  static const ExportKind kind{{kExportReadme, kChainFacts, kChainRunner}, &adapter_export()};
  return kind;
}

void check_out_folder(const std::filesystem::path& out, const ExportKind& kind) {
  std::error_code status;
  if (!std::filesystem::exists(out, status)) {
    return;
  }
  const std::string foreign =
      std::filesystem::is_directory(out, status) ? foreign_in(out, kind) : "a file";
  if (!foreign.empty()) {
    throw base::Error(base::ErrorKind::kUsage, "The folder to export into is in use.",
                      {.where = out.string(),
                       .expected = "a new or empty folder, or an earlier export of the same kind",
                       .found = foreign,
                       .fix = "Give another folder, or empty this one yourself."});
  }
}

}  // namespace baton::weights
