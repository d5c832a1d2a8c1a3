#pragma once
// What every reader of a model folder checks first, with the same words.

#include <filesystem>
#include <string>

namespace baton::weights {

/// A folder that is missing, or is no folder: kModel.
void require_model_folder(const std::filesystem::path& folder);

/// The names of pickle files (*.bin, *.pt, *.pth, ...) in the folder, joined with ", "; "" when
/// there are none.
std::string pickle_files_in(const std::filesystem::path& folder);

/// What to do about a folder that holds only pickle files.
std::string pickle_fix();

}  // namespace baton::weights
