#include "baton/data/frame.hpp"

#include <algorithm>

#include "baton/base/text.hpp"

namespace baton::data {

namespace {

const std::string& text_of(const Example& row) {
  return row.conversation.back().text;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// A line's end where there is one: words that all inputs begin with are not the instruction.
std::string cut_to_border(const std::string& before) {
  std::size_t size = before.rfind('\n');
  if (size == std::string::npos) {
    size = before.size();
    while (size > 0 && !is_space(before[size - 1])) {
      --size;
    }
    return before.substr(0, size);
  }
  return before.substr(0, size + 1);
}

std::string reversed(std::string text) {
  std::reverse(text.begin(), text.end());
  return text;
}

// Of `after` from its first line's or word's border on.
std::string cut_from_border(const std::string& after) {
  return reversed(cut_to_border(reversed(after)));
}

std::size_t common_at_begin(const std::string& a, const std::string& b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(end - a.begin());
}

}  // namespace

std::string Frame::input_of(const std::string& text) const {
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

std::optional<Frame> frame_of(std::span<const Example> rows) {
  if (rows.size() < 2) {
    return std::nullopt;
  }
  const std::string& first = text_of(rows.front());
  std::size_t num_before = first.size();
  std::size_t num_after = first.size();
  std::size_t shortest = first.size();
  const std::string backwards = reversed(first);
  for (const Example& row : rows.subspan(1)) {
    const std::string& text = text_of(row);
    num_before = std::min(num_before, common_at_begin(first, text));
    num_after = std::min(num_after, common_at_begin(backwards, reversed(text)));
    shortest = std::min(shortest, text.size());
  }
  Frame frame{cut_to_border(first.substr(0, num_before)), ""};
  // The two may meet in the shortest text.
  num_after = std::min(num_after, shortest - frame.before.size());
  frame.after = cut_from_border(first.substr(first.size() - num_after));
  if (base::trim(frame.before).empty() && base::trim(frame.after).empty()) {
    return std::nullopt;
  }
  return frame;
}

}  // namespace baton::data
