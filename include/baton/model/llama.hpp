#pragma once
// The Llama-family decoder over packed rows: sequences of different lengths lie one after another
// without padding, and attention never crosses a row border. Three seams (embed, hidden, logits),
// so that another front end can replace the first. The base is frozen; what learns are named
// adapters on its linears. Letters: N packed tokens, B rows, D width, H heads, K key/value heads, E
// head width, F feed-forward width, V vocabulary, R adapter rank, L layers.

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
#include "baton/model/kv_cache.hpp"
#include "baton/weights/llama_config.hpp"
#include "baton/weights/safetensors.hpp"

namespace baton::model {

/// Rows packed one after another.
struct PackedRows {
  at::Tensor tokens;                  // [N] int64
  std::vector<std::int64_t> offsets;  // [B + 1]; row b is tokens [offsets[b], offsets[b + 1])

  std::int64_t num_rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t num_tokens() const { return offsets.back(); }
};

/// A tensor made on the host, on `device`; the host does not wait for a GPU.
at::Tensor on_device(const at::Tensor& host, const at::Device& device);

/// Packs token rows on the CPU and moves them to `device`.
PackedRows pack_rows(std::span<const std::vector<std::int32_t>> rows, const at::Device& device);

class Llama {
 public:
  /// Reads config.json and the safetensors of a Hugging Face folder. `dtype` is kFloat or
  /// kBFloat16. Weights stored in that dtype stay in the shared mapping on a CPU; others are
  /// converted into private memory.
  static std::unique_ptr<Llama> load(const std::filesystem::path& folder,
                                     at::ScalarType dtype,
                                     const at::Device& device);
  ~Llama();
  Llama(const Llama&) = delete;
  Llama& operator=(const Llama&) = delete;

  const weights::LlamaConfig& config() const;
  at::ScalarType dtype() const;
  const at::Device& device() const;
  /// ModelWeights::fingerprint() of the folder it was read from.
  const std::string& fingerprint() const;
  /// The embedding or head rows of these tokens as fp32 [n, D]: for checking indicators.
  at::Tensor head_rows(std::span<const std::int64_t> token_ids) const;

  /// [N] -> [N, D] in the base dtype.
  at::Tensor embed(const at::Tensor& tokens) const;

  /// [N, D] -> [N, D] after the last norm. `adapters` may be null (the base alone). With `cache`,
  /// the keys and values of every row are kept in it (inference). `dropout` keys the adapters'
  /// dropout (training).
  at::Tensor forward_hidden(const at::Tensor& embedded,
                            const PackedRows& rows,
                            const AdapterSet* adapters,
                            KvCache* cache,
                            const DropoutKey* dropout = nullptr) const;

  /// One more token for each row of the cache: tokens [B] -> hidden [B, D]; the cache grows by one
  /// position a row.
  at::Tensor forward_step(const at::Tensor& tokens,
                          const AdapterSet* adapters,
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
  /// Shapes of the seven linears of a layer as (out, in), in the order of
  /// expert::lora_target_names().
  static std::vector<std::pair<std::int64_t, std::int64_t>> linear_shapes(
      const weights::LlamaConfig& config);

 private:
  Llama();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace baton::model
