#pragma once
// What differs from one family of models to the next: how its config.json sets the sizes and
// switches of the one decoder, and what its tensors are called. A family is one file in families/;
// families.cpp lists them all. Also here: what the config.json files of all families have in
// common.

#include <span>
#include <string>

#include "baton/weights/decoder_config.hpp"
#include "baton/weights/tensor_names.hpp"
#include "config_object.hpp"

namespace baton::weights {

class Family {
 public:
  Family() = default;
  virtual ~Family() = default;
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  virtual std::string model_type() const = 0;    // in config.json: "llama"
  virtual std::string architecture() const = 0;  // in its list `architectures`
  /// Sizes and switches; what read_decoder_config reads for every family (the tokens that end an
  /// answer, the stored dtype) is left to it. Absent keys mean what they mean to transformers'
  /// class of this family.
  virtual void read(const ConfigObject& object, DecoderConfig& config) const = 0;
  virtual TensorNames tensor_names() const { return {}; }
};

/// All families, each once.
std::span<const Family* const> families();
/// nullptr: no such family.
const Family* find_family(const std::string& model_type);

// For the families' own use: keys that they share.

/// Vocabulary, widths, heads and positions.
void read_sizes(const ConfigObject& object, DecoderConfig& config);
/// RoPE by its older flat keys (rope_theta, rope_scaling) and the newer rope_parameters.
void read_rope(const ConfigObject& object, DecoderConfig& config);
/// The key hidden_act must say `expected`, which is also what its absence means.
void require_activation(const ConfigObject& object, Activation expected);

// One function a file of families/.
const Family& llama_family();

}  // namespace baton::weights
