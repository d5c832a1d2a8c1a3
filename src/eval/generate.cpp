#include "baton/eval/generate.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::eval {
namespace {

at::Tensor ids_on(const at::Device& device, const std::vector<std::int64_t>& ids) {
  return at::tensor(ids, at::kLong).to(device);
}

at::Tensor read_prompts(const model::Decoder& model,
                        std::span<const Prompt> prompts,
                        const model::AdapterUses* adapters,
                        model::PassCaches* caches) {
  const model::PackedRows rows = model::pack_rows(prompts, model.device());
  const at::Tensor hidden =
      model.forward_hidden(model.embedder().embed(rows), rows, adapters, caches);
  std::vector<std::int64_t> last;
  for (std::size_t row = 1; row < rows.offsets.size(); ++row) {
    last.push_back(rows.offsets[row] - 1);
  }
  return hidden.index_select(0, ids_on(model.device(), last));
}

/// The rows still in the batch of one greedy_decode.
class DecodingBatch {
 public:
  DecodingBatch(const model::Decoder& model,
                Prefill start,
                const model::AdapterUses* adapters,
                const DecodeOptions& options)
      : model_(model),
        adapters_(adapters),
        options_(options),
        cache_(start.prompts, start.spare),
        hidden_(std::move(start.hidden)),
        banned_(ids_on(model.device(), options.banned_ids_after_first)),
        results_(static_cast<std::size_t>(cache_.num_rows())) {
    for (std::int64_t row = 0; row < cache_.num_rows(); ++row) {
      held_.push_back(static_cast<std::size_t>(row));
    }
    done_.assign(held_.size(), false);
  }

  std::vector<Decoded> run() {
    bool is_first = true;
    if (options_.forced_first_token) {
      next_.assign(held_.size(), *options_.forced_first_token);
      step();
      is_first = false;
    }
    for (std::int64_t position = 0; position < options_.max_new_tokens; ++position) {
      choose(is_first);
      is_first = false;
      if (position + 1 == options_.max_new_tokens ||
          std::find(done_.begin(), done_.end(), false) == done_.end()) {
        break;
      }
      drop_done_rows();
      step();
    }
    return std::move(results_);
  }

 private:
  void step() { hidden_ = model_.forward_step(ids_on(model_.device(), next_), adapters_, cache_); }

  void choose(bool is_first) {
    at::Tensor logits = model_.logits(hidden_);  // [rows held, V]
    if (!is_first && banned_.numel() > 0) {
      logits.index_fill_(1, banned_, -std::numeric_limits<float>::infinity());
    }
    // max() gives the first of equal values: the lowest id.
    const auto [best, ids] = at::max(logits, 1);
    const at::Tensor best_on_cpu = best.to(at::kCPU).contiguous();
    const at::Tensor ids_on_cpu = ids.to(at::kCPU).contiguous();
    next_.assign(held_.size(), 0);
    for (std::size_t i = 0; i < held_.size(); ++i) {
      const std::int64_t id = ids_on_cpu.data_ptr<std::int64_t>()[i];
      next_[i] = id;  // rows that ended go on with any token until they leave
      if (done_[i]) {
        continue;
      }
      if (!std::isfinite(best_on_cpu.data_ptr<float>()[i])) {
        throw base::Error(base::ErrorKind::kNonFinite,
                          "the logits of a decoding step are not numbers",
                          {.where = fmt::format("row {} of a batch, answer token {}", held_[i],
                                                results_[held_[i]].num_new_tokens),
                           .expected = "finite logits",
                           .found = fmt::format("{}", best_on_cpu.data_ptr<float>()[i]),
                           .fix = "the expert or the base holds weights that are not numbers; "
                                  "train the expert again"});
      }
      Decoded& result = results_[held_[i]];
      ++result.num_new_tokens;
      if (std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) !=
          options_.stop_ids.end()) {
        result.stopped = true;
        done_[i] = true;
      } else {
        result.tokens.push_back(static_cast<tokenizer::TokenId>(id));
      }
    }
  }

  // Leaving copies the cache, so it waits until a quarter of the rows are done.
  void drop_done_rows() {
    const auto num_done = static_cast<std::size_t>(std::count(done_.begin(), done_.end(), true));
    if (4 * num_done < held_.size()) {
      return;
    }
    std::vector<std::int64_t> kept;
    std::vector<std::size_t> held;
    std::vector<std::int64_t> next;
    for (std::size_t i = 0; i < held_.size(); ++i) {
      if (!done_[i]) {
        kept.push_back(static_cast<std::int64_t>(i));
        held.push_back(held_[i]);
        next.push_back(next_[i]);
      }
    }
    cache_ = cache_.select_rows(kept);
    held_ = std::move(held);
    next_ = std::move(next);
    done_.assign(held_.size(), false);
  }

  const model::Decoder& model_;
  const model::AdapterUses* adapters_;
  const DecodeOptions& options_;
  model::KvCache cache_;
  at::Tensor hidden_;  // [rows held, D]
  at::Tensor banned_;
  std::vector<Decoded> results_;    // of all rows
  std::vector<std::size_t> held_;   // original row of each row held
  std::vector<bool> done_;          // by row held
  std::vector<std::int64_t> next_;  // token to append, by row held
};

/// The continuations of all rows as tails behind what the rows hold. Tails that are the same stand
/// there once: choices of one token each need no more than the lead.
class Continuations {
 public:
  Continuations(const Prefill& rows,
                const std::optional<std::int64_t>& lead,
                std::span<const std::vector<Prompt>> continuations) {
    std::int64_t num_tail_tokens = 0;
    for (std::size_t row = 0; row < continuations.size(); ++row) {
      std::map<Prompt, std::int64_t> first_of;  // tail -> where its first hidden state stands
      for (std::size_t i = 0; i < continuations[row].size(); ++i) {
        const Prompt& tokens = continuations[row][i];
        BATON_ASSERT(!tokens.empty(), "a continuation of no tokens");
        Prompt tail;
        if (lead) {
          tail.push_back(static_cast<tokenizer::TokenId>(*lead));
        }
        tail.insert(tail.end(), tokens.begin(), tokens.end() - 1);
        const auto [place, is_new] = first_of.try_emplace(tail, rows.num_rows() + num_tail_tokens);
        if (is_new && !tail.empty()) {
          num_tail_tokens += static_cast<std::int64_t>(tail.size());
          prefixes_.push_back(rows.prompts[row]);
          tails_.push_back(std::move(tail));
        }
        for (std::size_t k = 0; k < tokens.size(); ++k) {
          const bool follows_row = k == 0 && !lead;
          const std::int64_t state =
              follows_row ? static_cast<std::int64_t>(row)
                          : place->second + static_cast<std::int64_t>(k) - (lead ? 0 : 1);
          targets_[state].push_back({row, i, tokens[k]});
        }
      }
    }
  }

  /// [rows and all tokens of tails, D].
  at::Tensor states(const model::Decoder& model,
                    const Prefill& rows,
                    const model::AdapterUses* adapters) const {
    if (tails_.empty()) {
      return rows.hidden;
    }
    const model::PackedRows packed = model::pack_rows(tails_, model.device());
    model::PassCaches caches{.prefixes = prefixes_, .keeps = false};
    return at::cat({rows.hidden, model.forward_hidden(model.embedder().embed(packed), packed,
                                                      adapters, &caches)});
  }

  /// Adds each target's log probability to its continuation's sum. The logits exist a piece at a
  /// time.
  void add_up(const model::Decoder& model,
              const at::Tensor& states,
              std::vector<std::vector<double>>& sums) const {
    constexpr std::size_t kPiece = 64;
    std::vector<std::int64_t> piece;
    const auto finish_piece = [&] {
      const at::Tensor probabilities =
          at::log_softmax(model.logits(states.index_select(0, ids_on(model.device(), piece))), 1)
              .to(at::kCPU)
              .contiguous();
      const std::int64_t vocabulary = probabilities.size(1);
      const float* values = probabilities.data_ptr<float>();
      for (std::size_t i = 0; i < piece.size(); ++i) {
        for (const Target& target : targets_.at(piece[i])) {
          sums[target.row][target.continuation] +=
              static_cast<double>(values[static_cast<std::int64_t>(i) * vocabulary + target.token]);
        }
      }
      piece.clear();
    };
    for (const auto& [state, targets] : targets_) {
      piece.push_back(state);
      if (piece.size() == kPiece) {
        finish_piece();
      }
    }
    if (!piece.empty()) {
      finish_piece();
    }
  }

 private:
  struct Target {
    std::size_t row = 0;
    std::size_t continuation = 0;
    tokenizer::TokenId token = 0;
  };

  std::vector<Prompt> tails_;
  std::vector<model::SharedPrompt> prefixes_;            // [tails]
  std::map<std::int64_t, std::vector<Target>> targets_;  // by the state that they are read from
};

}  // namespace

std::vector<std::vector<double>> log_likelihoods(
    const model::Decoder& model,
    const Prefill& rows,
    const model::AdapterUses* adapters,
    const std::optional<std::int64_t>& lead,
    std::span<const std::vector<Prompt>> continuations) {
  const c10::InferenceMode guard;
  std::vector<std::vector<double>> sums;
  for (const std::vector<Prompt>& of_row : continuations) {
    sums.emplace_back(of_row.size(), 0.0);
  }
  const Continuations tails(rows, lead, continuations);
  tails.add_up(model, tails.states(model, rows, adapters), sums);
  return sums;
}

Prefill Prefill::select_rows(const std::vector<std::int64_t>& rows) const {
  const c10::InferenceMode guard;
  Prefill selected{{}, hidden.index_select(0, ids_on(hidden.device(), rows)), spare};
  for (const std::int64_t row : rows) {
    selected.prompts.push_back(prompts[static_cast<std::size_t>(row)]);
  }
  return selected;
}

Prefill Prefill::join(std::vector<Prefill> parts) {
  const c10::InferenceMode guard;
  Prefill joined;
  std::vector<at::Tensor> hidden;
  for (Prefill& part : parts) {
    std::move(part.prompts.begin(), part.prompts.end(), std::back_inserter(joined.prompts));
    hidden.push_back(std::move(part.hidden));
    joined.spare = std::max(joined.spare, part.spare);
  }
  joined.hidden = at::cat(hidden);
  return joined;
}

Prefill prefill(const model::Decoder& model,
                std::span<const Prompt> prompts,
                const model::AdapterUses* adapters,
                std::int64_t spare) {
  const c10::InferenceMode guard;
  model::PassCaches caches;
  at::Tensor hidden = read_prompts(model, prompts, adapters, &caches);
  return {std::move(caches.kept), std::move(hidden), spare};
}

at::Tensor last_hidden(const model::Decoder& model,
                       std::span<const Prompt> prompts,
                       const model::AdapterUses* adapters) {
  const c10::InferenceMode guard;
  return read_prompts(model, prompts, adapters, nullptr);
}

std::vector<double> margins_of(const model::Decoder& model,
                               const at::Tensor& hidden,
                               std::int64_t accept_id,
                               std::int64_t pass_id) {
  const c10::InferenceMode guard;
  const std::vector<std::int64_t> ids = {accept_id, pass_id};
  const at::Tensor logits = model.logits_of(hidden, ids).to(at::kCPU);  // [B, 2]
  const at::Tensor differences =
      (logits.select(1, 0) - logits.select(1, 1)).contiguous();  // [B] fp32
  const float* values = differences.data_ptr<float>();
  return {values, values + differences.size(0)};
}

std::vector<Decoded> greedy_decode(const model::Decoder& model,
                                   Prefill start,
                                   const model::AdapterUses* adapters,
                                   const DecodeOptions& options) {
  const c10::InferenceMode guard;
  return DecodingBatch(model, std::move(start), adapters, options).run();
}

}  // namespace baton::eval
