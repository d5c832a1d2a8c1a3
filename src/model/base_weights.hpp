#pragma once
// The frozen weights of a decoder as tensors; what a family calls them is weights/tensor_names.

#include <ATen/core/Tensor.h>

#include <vector>

#include "baton/weights/decoder_config.hpp"
#include "baton/weights/safetensors.hpp"
#include "decoder_layer.hpp"

namespace baton::model {

struct BaseWeights {
  at::Tensor embedding;  // [V, D]
  std::vector<DecoderLayer> layers;
  at::Tensor final_norm;  // [D]
  at::Tensor head;        // [V, D]; the embedding itself when tied
};

/// On a CPU, tensors stored in `dtype` are views of the mapping in `files`, which must outlive
/// them. Shapes that do not fit the config: kModel, naming tensor, expected and found.
BaseWeights read_base_weights(const weights::ModelWeights& files,
                              const weights::DecoderConfig& config,
                              at::ScalarType dtype,
                              const at::Device& device);

}  // namespace baton::model
