#pragma once
// `baton tokenize`: text lines on the input, token ids as JSON arrays on the output.

#include <filesystem>
#include <iosfwd>

namespace baton::app {

/// Returns the exit code 0; what goes wrong is a base::Error (kModel, kData with line and byte,
/// kStorage).
int run_tokenize(const std::filesystem::path& model_folder, std::istream& in, std::ostream& out);

}  // namespace baton::app
