#pragma once
// Versions of the libraries the program runs with that lower floors do not know.

#include <map>
#include <string>

namespace baton::experiment {

/// Adds "torch", and "onednn" and "mkl" where LibTorch has them, as they are loaded.
void add_library_versions(std::map<std::string, std::string>& versions);

/// Whether LibTorch can compute on a GPU here: it has its CUDA part, and the driver fits.
bool torch_sees_gpu();

}  // namespace baton::experiment
