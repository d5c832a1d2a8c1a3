#include "baton/experiment/versions.hpp"

#include <ATen/Context.h>
#include <ATen/Version.h>

#include <sstream>
#include <utility>

namespace baton::experiment {

namespace {

// The word after `mark` in a text, up to a blank or a comma.
std::string word_after(const std::string& text, const std::string& mark) {
  const std::size_t place = text.find(mark);
  if (place == std::string::npos) {
    return "";
  }
  std::istringstream rest(text.substr(place + mark.size()));
  std::string word;
  rest >> word;
  return word.substr(0, word.find(','));
}

}  // namespace

void add_library_versions(std::map<std::string, std::string>& versions) {
  // Of the library that was loaded, which need not be the one compiled against.
  const std::string loaded = at::show_config();
  for (const auto& [name, mark] :
       {std::pair{"torch", "TORCH_VERSION="}, std::pair{"onednn", "MKL-DNN v"},
        std::pair{"mkl", "Math Kernel Library Version "}}) {
    const std::string version = word_after(loaded, mark);
    if (!version.empty()) {
      versions[name] = version;
    }
  }
}

bool torch_sees_gpu() {
  return at::hasCUDA();
}

}  // namespace baton::experiment
