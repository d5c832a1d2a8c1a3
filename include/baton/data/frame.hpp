#pragma once
// Where a task's instruction ends and the input of a row begins, read off the rows: layouts put the
// two into one text, in their own ways. Pure.

#include <optional>
#include <span>
#include <string>

#include "baton/data/example.hpp"

namespace baton::data {

/// What the last user texts of all rows of a task have in common at both ends, up to the end of a
/// line or, on the only line, of a word: the instruction. The input stands between.
struct Frame {
  std::string before;
  std::string after;

  /// The part of `text`, one of these rows' texts, that is not the frame.
  std::string input_of(const std::string& text) const;
};

/// Nothing where the texts begin and end each in its own way, or of a single row.
std::optional<Frame> frame_of(std::span<const Example> rows);

}  // namespace baton::data
