#pragma once
// The decoder over packed rows: sequences of different lengths lie one after another without padding,
// and attention never crosses a row border. Three seams: an InputEmbedder makes what the first layer
// reads, forward_hidden runs the layers, logits ends. The base is frozen; what learns are adapters on
// its linears. Letters: N packed tokens, B rows, D width, H heads, K key/value heads, E head width,
// F feed-forward width, V vocabulary, R adapter rank, L layers.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "baton/model/adapter.hpp"
#include "baton/model/adapter_use.hpp"
#include "baton/model/input_embedder.hpp"
#include "baton/model/kv_cache.hpp"
#include "baton/model/packed_rows.hpp"
#include "baton/model/prompt_cache.hpp"
#include "baton/weights/decoder_config.hpp"
#include "baton/weights/safetensors.hpp"

namespace baton::model {

class Decoder {
 public:
  /// Reads config.json and the safetensors of a Hugging Face folder. `dtype` is kFloat or
  /// kBFloat16. Weights stored in that dtype stay in the shared mapping on a CPU; others are
  /// converted into private memory.
  static std::unique_ptr<Decoder> load(const std::filesystem::path& folder,
                                       at::ScalarType dtype,
                                       const at::Device& device);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const weights::DecoderConfig& config() const;
  at::ScalarType dtype() const;
  const at::Device& device() const;
  /// ModelWeights::fingerprint() of the folder it was read from.
  const std::string& fingerprint() const;
  /// The embedding or head rows of these tokens as fp32 [n, D].
  at::Tensor head_rows(std::span<const std::int64_t> token_ids) const;

  /// The base's own: token ids to vectors.
  const InputEmbedder& embedder() const;

  /// [N, D] -> [N, D] after the last norm. `adapters` may be null or empty (the base alone). With
  /// `caches` (inference) rows go on from their prefixes, and what prefix and row leave is kept for
  /// later passes. `dropout` keys the adapters' dropout (training).
  at::Tensor forward_hidden(const at::Tensor& embedded,
                            const PackedRows& rows,
                            const AdapterUses* adapters,
                            PassCaches* caches = nullptr,
                            const DropoutKey* dropout = nullptr) const;

  /// [N, D] -> [N, D] after the first `num_layers` layers of the base alone, without the last norm.
  at::Tensor hidden_after(const at::Tensor& embedded,
                          const PackedRows& rows,
                          std::int64_t num_layers) const;

  /// One more token for each row of the cache: tokens [B] -> hidden [B, D]; the cache grows by one
  /// position a row.
  at::Tensor forward_step(const at::Tensor& tokens,
                          const AdapterUses* adapters,
                          KvCache& cache) const;

  /// [M, D] -> fp32 logits [M, V].
  at::Tensor logits(const at::Tensor& hidden) const;
  /// [M, D] -> fp32 logits [M, n] of these tokens only, computed in fp32.
  at::Tensor logits_of(const at::Tensor& hidden, std::span<const std::int64_t> token_ids) const;
  /// sum_m weights[m] * -log softmax(head hidden[m])[targets[m]]: hidden [M, D], targets [M] int64,
  /// weights [M] fp32 -> scalar fp32. Differentiable in `hidden`; the logits exist a piece at a
  /// time.
  at::Tensor target_loss(const at::Tensor& hidden,
                         const at::Tensor& targets,
                         const at::Tensor& weights) const;

 private:
  Decoder();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace baton::model
