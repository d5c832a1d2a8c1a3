#include "baton/expert/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::expert {
namespace {

constexpr std::int64_t kMaxRank = 4096;
constexpr double kMaxAlpha = 1e6;
constexpr std::int64_t kMaxLayers = 4096;

class Check {
 public:
  Check(const ExpertState& state, const std::string& file, const Expected& expected)
      : state_(state), file_(file), expected_(expected) {}

  void texts() const {
    text("task", state_.task);
    if (state_.task.empty()) {
      refuse("task", "the name of a task", "none");
    }
    if (!expected_.task.empty() && state_.task != expected_.task) {
      refuse("task", fmt::format("\"{}\", as run.json calls this file", expected_.task),
             fmt::format("\"{}\"", state_.task));
    }
    text("template", state_.prompt_template);
    text("base_fingerprint", state_.base_fingerprint);
    text("lora_activation", state_.lora_activation);
    if (state_.lora_activation != "full" && state_.lora_activation != "invocation") {
      refuse("lora_activation", "full or invocation",
             fmt::format("\"{}\"", state_.lora_activation));
    }
    std::set<std::string> seen;
    for (const std::string& target : state_.lora_target) {
      text("lora_target", target);
      const std::vector<std::string>& names = lora_target_names();
      if (std::find(names.begin(), names.end(), target) == names.end() ||
          !seen.insert(target).second) {
        refuse("lora_target", fmt::format("some of {}, each once", fmt::join(names, ", ")),
               fmt::format("\"{}\"", target));
      }
    }
    if (state_.lora_target.empty()) {
      refuse("lora_target", "at least one linear", "none");
    }
  }

  void numbers() const {
    in_range("lora_rank", state_.lora_rank, 1, kMaxRank);
    if (!(state_.lora_alpha > 0 && state_.lora_alpha <= kMaxAlpha)) {
      refuse("lora_alpha", fmt::format("above 0, at most {}", kMaxAlpha),
             number(state_.lora_alpha));
    }
    if (!(state_.lora_dropout >= 0 && state_.lora_dropout < 1)) {
      refuse("lora_dropout", "from 0 to below 1", number(state_.lora_dropout));
    }
    if (!std::isfinite(state_.accept_threshold)) {
      refuse("accept_threshold", "a finite number", number(state_.accept_threshold));
    }
    for (const RocPoint& point : state_.roc) {
      const auto is_rate = [](double rate) { return rate >= 0 && rate <= 1; };
      if (!std::isfinite(point.threshold) || !is_rate(point.true_positive_rate) ||
          !is_rate(point.false_positive_rate)) {
        refuse("roc", "finite thresholds and rates from 0 to 1",
               fmt::format("{}, {}, {}", point.threshold, point.true_positive_rate,
                           point.false_positive_rate));
      }
    }
    constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
    in_range("steps", state_.steps, 0, kAny);
    in_range("num_positive", state_.num_positive, 0, kAny);
    in_range("num_negative", state_.num_negative, 0, kAny);
  }

  void tokens() const {
    const std::int64_t limit =
        expected_.base ? expected_.base->vocab_size : std::numeric_limits<std::int32_t>::max();
    const bool has_none = state_.accept_token_id == -1 && state_.pass_token_id == -1;
    if (!has_none) {
      in_range("accept_token_id", state_.accept_token_id, 0, limit - 1);
      in_range("pass_token_id", state_.pass_token_id, 0, limit - 1);
    }
    if (!has_none && state_.accept_token_id == state_.pass_token_id) {
      refuse("pass_token_id", "another token than accept_token_id",
             fmt::format("{} for both", state_.pass_token_id));
    }
    for (const std::int64_t id : state_.invocation_ids) {
      in_range("invocation_ids", id, 0, limit - 1);
    }
    if (state_.lora_activation == "invocation" && state_.invocation_ids.empty()) {
      refuse("invocation_ids", "at least one token with lora_activation invocation", "none");
    }
  }

  void arrays() const {
    if (state_.arrays.empty()) {
      refuse("adapter", "the factors of at least one layer", "no arrays");
    }
    std::map<std::int64_t, std::set<std::string>> layers;
    Shapes shapes(lora_target_names().size());
    if (expected_.base) {
      shapes = expected_.base->linear_shapes;
    }
    for (const NamedArray& array : state_.arrays) {
      const ArrayPlace place = place_of(array);
      if (!layers[place.layer].insert(array.name).second) {
        refuse("adapter/" + array.name, "every array once", "twice");
      }
      check_shape(array, place, shapes);
      check_values(array);
    }
    for (const auto& [layer, names] : layers) {
      if (names.size() != 2 * state_.lora_target.size()) {
        refuse(fmt::format("adapter, layer {}", layer),
               fmt::format("both factors of {}", fmt::join(state_.lora_target, ", ")),
               fmt::format("{} arrays", names.size()));
      }
    }
  }

 private:
  /// (out, in) of the seven linears; 0 where nothing is known.
  using Shapes = std::vector<std::pair<std::int64_t, std::int64_t>>;

  [[noreturn]] void refuse(const std::string& fact,
                           const std::string& expected,
                           const std::string& found) const {
    throw base::Error(base::ErrorKind::kModel, "an expert cannot be used",
                      {.where = file_ + ", " + fact,
                       .expected = expected,
                       .found = found,
                       .fix = "train it anew (`baton train --replace NAME`) or restore the file "
                              "from a copy; do not trust a file that somebody else made"});
  }

  static std::string number(double value) { return fmt::format("{}", value); }

  void text(const char* fact, const std::string& value) const {
    if (const auto place = base::find_invalid_utf8(value)) {
      refuse(fact, "text in UTF-8", fmt::format("another byte at {}", *place));
    }
    const auto is_control = [](char byte) {
      return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
    };
    if (std::any_of(value.begin(), value.end(), is_control)) {
      refuse(fact, "text without control characters", "one");
    }
  }

  void in_range(const char* fact, std::int64_t value, std::int64_t low, std::int64_t high) const {
    if (value < low || value > high) {
      refuse(fact,
             high == std::numeric_limits<std::int64_t>::max()
                 ? fmt::format("{} or more", low)
                 : fmt::format("from {} to {}", low, high),
             fmt::format("{}", value));
    }
  }

  ArrayPlace place_of(const NamedArray& array) const {
    const std::string item = "adapter/" + array.name;
    const std::optional<ArrayPlace> place = parse_peft_key(array.name);
    const std::int64_t num_layers = expected_.base ? expected_.base->num_layers : kMaxLayers;
    const bool is_target =
        place && std::find(state_.lora_target.begin(), state_.lora_target.end(),
                           lora_target_names()[place->module_index]) != state_.lora_target.end();
    if (!is_target) {
      refuse(item, fmt::format("factors of {} only", fmt::join(state_.lora_target, ", ")),
             "another name");
    }
    if (place->layer >= num_layers) {
      refuse(item, fmt::format("layers below {}", num_layers),
             fmt::format("layer {}", place->layer));
    }
    return *place;
  }

  // Without a base the first array of a linear says what the others must be.
  void check_shape(const NamedArray& array, const ArrayPlace& place, Shapes& shapes) const {
    const bool is_a = place.factor == 'A';  // [R, in]; B is [out, R]
    std::pair<std::int64_t, std::int64_t>& shape = shapes[place.module_index];
    std::int64_t& known = is_a ? shape.second : shape.first;
    const bool is_matrix = array.shape.size() == 2;
    const std::int64_t rank = is_matrix ? array.shape[is_a ? 0 : 1] : 0;
    const std::int64_t width = is_matrix ? array.shape[is_a ? 1 : 0] : 0;
    if (rank != state_.lora_rank || width < 1 || (known != 0 && width != known)) {
      const std::string wanted = known != 0 ? std::to_string(known) : is_a ? "inputs" : "outputs";
      refuse("adapter/" + array.name,
             is_a ? fmt::format("shape [{}, {}]", state_.lora_rank, wanted)
                  : fmt::format("shape [{}, {}]", wanted, state_.lora_rank),
             fmt::format("shape [{}]", fmt::join(array.shape, ", ")));
    }
    known = width;
    if (static_cast<std::uint64_t>(rank) * static_cast<std::uint64_t>(width) !=
        array.values.size()) {
      refuse("adapter/" + array.name, "as many numbers as its shape says",
             fmt::format("{}", array.values.size()));
    }
  }

  void check_values(const NamedArray& array) const {
    const auto bad = std::find_if(array.values.begin(), array.values.end(),
                                  [](float value) { return !std::isfinite(value); });
    if (bad != array.values.end()) {
      refuse("adapter/" + array.name, "finite numbers",
             fmt::format("{} at place {}", *bad, bad - array.values.begin()));
    }
  }

  const ExpertState& state_;
  const std::string& file_;
  const Expected& expected_;
};

}  // namespace

std::optional<ArrayPlace> parse_peft_key(const std::string& name) {
  static const std::string kPrefix = "base_model.model.model.layers.";
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  ArrayPlace place;
  std::size_t end = kPrefix.size();
  while (end < name.size() && name[end] >= '0' && name[end] <= '9' && place.layer <= kMaxLayers) {
    place.layer = 10 * place.layer + (name[end] - '0');
    ++end;
  }
  // What was understood must give the name again, to the letter.
  for (; place.module_index < lora_target_names().size(); ++place.module_index) {
    for (const char factor : {'A', 'B'}) {
      place.factor = factor;
      if (peft_key(place.layer, lora_target_names()[place.module_index], factor) == name) {
        return place;
      }
    }
  }
  return std::nullopt;
}

void check_expert(const ExpertState& state, const std::string& file, const Expected& expected) {
  const Check check(state, file, expected);
  check.texts();
  check.numbers();
  check.tokens();
  check.arrays();
}

}  // namespace baton::expert
