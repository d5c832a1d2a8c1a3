#include "baton/model/prompt_cache.hpp"

#include <ATen/ATen.h>

namespace baton::model {

std::int64_t PromptCache::num_bytes() const {
  std::int64_t bytes = 0;
  for (const std::vector<at::Tensor>* side : {&keys_, &values_}) {
    for (const at::Tensor& tensor : *side) {
      bytes += tensor.numel() * tensor.element_size();
    }
  }
  return bytes;
}

}  // namespace baton::model
