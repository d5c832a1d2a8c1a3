#include "model_folder.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::weights {

void require_model_folder(const std::filesystem::path& folder) {
  std::error_code status;
  if (std::filesystem::is_directory(folder, status)) {
    return;
  }
  const bool exists = std::filesystem::exists(folder, status);
  throw base::Error(
      base::ErrorKind::kModel,
      exists ? "The model path is not a folder." : "The model folder does not exist.",
      {.where = folder.string(),
       .expected = "a Hugging Face folder with config.json, *.safetensors and tokenizer.json",
       .found = exists ? "a file" : "nothing at this path",
       .fix = "Give the path of a local folder (model.model_name_or_path); nothing is downloaded "
              "by name."});
}

std::string pickle_files_in(const std::filesystem::path& folder) {
  static constexpr std::array<std::string_view, 6> kPickle = {".bin", ".pt",     ".pth",
                                                              ".pkl", ".pickle", ".ckpt"};
  std::vector<std::string> names;
  std::error_code status;
  for (std::filesystem::directory_iterator entry(folder, status), end; !status && entry != end;
       entry.increment(status)) {
    const std::string extension = entry->path().extension().string();
    if (std::find(kPickle.begin(), kPickle.end(), extension) != kPickle.end()) {
      names.push_back(entry->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return base::join(names, ", ");
}

std::string pickle_fix() {
  return "Pickle files can run code when opened, so they are never read. Convert the model to "
         "safetensors "
         "where you trust it: python -c \"from transformers import AutoModelForCausalLM as M; "
         "M.from_pretrained('FOLDER').save_pretrained('NEW_FOLDER')\" (safetensors is what it "
         "writes).";
}

}  // namespace baton::weights
