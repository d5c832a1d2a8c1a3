#include "baton/model/decoder.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "base_weights.hpp"
#include "baton/base/error.hpp"
#include "cache_access.hpp"
#include "head_loss.hpp"
#include "rms_norm.hpp"

namespace baton::model {

struct Decoder::Parts {
  weights::DecoderConfig config;
  weights::ModelWeights files;  // keeps the mapping alive that the tensors look into
  std::string fingerprint;
  BaseWeights base;
  TokenEmbedder embedder;
  RopeTable rope;
  RopeTable window_rope;  // of layers with a window
  AttentionSettings attention;
  at::ScalarType dtype;
  at::Device device;
};

namespace {

// Positions within each row, after its prefix.
at::Tensor row_positions(const std::vector<std::int64_t>& offsets,
                         const RowCaches& caches,
                         const at::Device& device) {
  std::vector<std::int64_t> positions;
  positions.reserve(static_cast<std::size_t>(offsets.back()));
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    const PromptCache* prefix = caches.prefix_of(row);
    const std::int64_t first = prefix == nullptr ? 0 : prefix->num_tokens();
    for (std::int64_t i = 0; i < offsets[row + 1] - offsets[row]; ++i) {
      positions.push_back(first + i);
    }
  }
  return on_device(at::tensor(positions, at::kLong), device);
}

// 0 where the row has a key inside the window (0: no bounds), the token being appended included;
// -inf elsewhere. [B, 1, 1, longest + 1].
at::Tensor step_mask(const std::vector<std::int64_t>& lengths,
                     std::int64_t window,
                     at::ScalarType dtype,
                     const at::Device& device) {
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end()) + 1;
  const auto num_rows = static_cast<std::int64_t>(lengths.size());
  at::Tensor mask = at::zeros({num_rows, 1, 1, longest}, at::kFloat);
  const auto hide = [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
    if (begin < end) {
      mask.select(0, row)
          .narrow(-1, begin, end - begin)
          .fill_(-std::numeric_limits<float>::infinity());
    }
  };
  for (std::int64_t row = 0; row < num_rows; ++row) {
    const std::int64_t used = lengths[static_cast<std::size_t>(row)] + 1;
    hide(row, used, longest);
    hide(row, 0, window > 0 ? used - window : 0);
  }
  return mask.to(device, dtype);
}

// The angles of the positions, for layers without a window and with one.
template <typename Parts>
class LayerAngles {
 public:
  LayerAngles(const Parts& parts, const at::Tensor& positions)
      : whole_(parts.rope.angles(positions)),
        windowed_(parts.config.window_rope_theta ? parts.window_rope.angles(positions) : whole_) {}

  const RopeAngles& of(const DecoderLayer& layer) const {
    return layer.attention.window > 0 ? windowed_ : whole_;
  }

 private:
  RopeAngles whole_;
  RopeAngles windowed_;
};

// No weight: no norm.
template <typename Parts>
at::Tensor normed(const Parts& parts, const at::Tensor& x, const at::Tensor& weight) {
  return weight.defined() ? rms_norm(x, weight, parts.config.rms_norm_eps) : x;
}

// The residual stream [N, D] through all layers and the last norm; `attend` is the attention of one
// layer. Counts context.layer up as it goes.
template <typename Parts, typename Attend>
at::Tensor run_layers(const Parts& parts,
                      at::Tensor x,
                      LayerContext& context,
                      const Attend& attend,
                      std::size_t num_layers) {
  for (const DecoderLayer& layer : std::span(parts.base.layers).first(num_layers)) {
    x = x + normed(parts, attend(layer, normed(parts, x, layer.attention_norm)),
                   layer.attention_output_norm);
    x = x +
        normed(parts,
               feed_forward(layer.feed_forward, normed(parts, x, layer.feed_forward_norm), context),
               layer.feed_forward_output_norm);
    ++context.layer;
  }
  return x;
}

// All layers and the last norm.
template <typename Parts, typename Attend>
at::Tensor run_all(const Parts& parts,
                   const at::Tensor& x,
                   LayerContext& context,
                   const Attend& attend) {
  return normed(parts, run_layers(parts, x, context, attend, parts.base.layers.size()),
                parts.base.final_norm);
}

}  // namespace

Decoder::Decoder() = default;
Decoder::~Decoder() = default;

std::unique_ptr<Decoder> Decoder::load(const std::filesystem::path& folder,
                                       at::ScalarType dtype,
                                       const at::Device& device) {
  const weights::DecoderConfig config = weights::read_decoder_config(folder);
  weights::ModelWeights files(folder);
  BaseWeights base = read_base_weights(files, config, dtype, device);
  std::string fingerprint = files.fingerprint();
  TokenEmbedder embedder(base.embedding, config.embedding_scale);
  std::unique_ptr<Decoder> model(new Decoder());
  model->parts_ = std::make_unique<Parts>(
      Parts{config,
            std::move(files),
            std::move(fingerprint),
            std::move(base),
            std::move(embedder),
            RopeTable(config, device, false),
            RopeTable(config, device, true),
            {config.num_attention_heads, config.num_key_value_heads, config.head_dim,
             config.rms_norm_eps, config.attention_scale, config.attention_cap},
            dtype,
            device});
  return model;
}

const weights::DecoderConfig& Decoder::config() const {
  return parts_->config;
}
at::ScalarType Decoder::dtype() const {
  return parts_->dtype;
}
const at::Device& Decoder::device() const {
  return parts_->device;
}
const std::string& Decoder::fingerprint() const {
  return parts_->fingerprint;
}

at::Tensor Decoder::head_rows(std::span<const std::int64_t> token_ids) const {
  const at::Tensor index =
      at::tensor(std::vector<std::int64_t>(token_ids.begin(), token_ids.end()), at::kLong)
          .to(parts_->device);
  return parts_->base.head.index_select(0, index).to(at::kFloat);
}

const InputEmbedder& Decoder::embedder() const {
  return parts_->embedder;
}

at::Tensor Decoder::forward_hidden(const at::Tensor& embedded,
                                   const PackedRows& rows,
                                   const AdapterUses* adapters,
                                   PassCaches* caches,
                                   const DropoutKey* dropout) const {
  const Parts& parts = *parts_;
  const auto num_rows = static_cast<std::size_t>(rows.num_rows());
  RowCaches row_caches;
  if (caches != nullptr) {
    BATON_ASSERT(caches->prefixes.empty() || caches->prefixes.size() == num_rows,
                 std::to_string(caches->prefixes.size()) + " prefixes");
    row_caches = {caches->prefixes, caches->keeps, std::vector<std::vector<at::Tensor>>(num_rows),
                  std::vector<std::vector<at::Tensor>>(num_rows)};
  }
  const LayerAngles angles(parts, row_positions(rows.offsets, row_caches, parts.device));
  LayerContext context{adapters, 0, dropout, &rows.offsets};
  const at::Tensor hidden =
      run_all(parts, embedded, context, [&](const DecoderLayer& layer, const at::Tensor& x) {
        return attend_rows(layer.attention, parts.attention, x, angles.of(layer), context,
                           row_caches);
      });
  if (caches != nullptr) {
    caches->kept.clear();
    for (std::size_t row = 0; row < num_rows && caches->keeps; ++row) {
      caches->kept.push_back(std::make_shared<const PromptCache>(
          std::move(row_caches.keys[row]), std::move(row_caches.values[row])));
    }
  }
  return hidden;
}

at::Tensor Decoder::hidden_after(const at::Tensor& embedded,
                                 const PackedRows& rows,
                                 std::int64_t num_layers) const {
  const Parts& parts = *parts_;
  BATON_ASSERT(num_layers >= 0 && num_layers <= parts.config.num_hidden_layers,
               std::to_string(num_layers) + " layers");
  RowCaches no_caches;
  const LayerAngles angles(parts, row_positions(rows.offsets, no_caches, parts.device));
  LayerContext context{nullptr, 0, nullptr, &rows.offsets};
  return run_layers(
      parts, embedded, context,
      [&](const DecoderLayer& layer, const at::Tensor& x) {
        return attend_rows(layer.attention, parts.attention, x, angles.of(layer), context,
                           no_caches);
      },
      static_cast<std::size_t>(num_layers));
}

at::Tensor Decoder::forward_step(const at::Tensor& tokens,
                                 const AdapterUses* adapters,
                                 KvCache& cache) const {
  const Parts& parts = *parts_;
  const LayerAngles angles(parts, at::tensor(cache.lengths(), at::kLong).to(parts.device));
  std::map<std::int64_t, at::Tensor> masks;  // by window
  const auto mask_of = [&](std::int64_t window) -> const at::Tensor& {
    at::Tensor& mask = masks[window];
    if (!mask.defined()) {
      mask = step_mask(cache.lengths(), window, parts.dtype, parts.device);
    }
    return mask;
  };
  LayerContext context{adapters, 0, nullptr, nullptr};
  const at::Tensor hidden =
      run_all(parts, parts.embedder.embed({tokens, {}}), context,
              [&](const DecoderLayer& layer, const at::Tensor& x) {
                return attend_step(layer.attention, parts.attention, x, angles.of(layer), context,
                                   cache, mask_of(layer.attention.window));
              });
  CacheAccess::advance(cache);
  return hidden;
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return capped(at::linear(hidden, parts_->base.head).to(at::kFloat), parts_->config.logit_cap);
}

at::Tensor Decoder::logits_of(const at::Tensor& hidden,
                              std::span<const std::int64_t> token_ids) const {
  return capped(at::mm(hidden.to(at::kFloat), head_rows(token_ids).t()), parts_->config.logit_cap);
}

at::Tensor Decoder::target_loss(const at::Tensor& hidden,
                                const at::Tensor& targets,
                                const at::Tensor& weights) const {
  return weighted_cross_entropy(hidden, parts_->base.head, targets, weights,
                                parts_->config.logit_cap);
}

}  // namespace baton::model
