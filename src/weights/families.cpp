#include <algorithm>
#include <array>

#include "family.hpp"

namespace baton::weights {

std::span<const Family* const> families() {
  static const std::array kFamilies = {&llama_family(), &mistral_family(), &qwen2_family(),
                                       &qwen3_family(), &gemma2_family(),  &gemma3_family()};
  return kFamilies;
}

const Family* find_family(const std::string& model_type) {
  for (const Family* family : families()) {
    if (family->model_type() == model_type) {
      return family;
    }
  }
  return nullptr;
}

}  // namespace baton::weights
