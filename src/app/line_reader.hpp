#pragma once
// Lines from a descriptor, as many at a time as are there: a program that writes one line and waits
// for what comes of it is served at once, a file or a full pipe in large parts.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace baton::app {

struct Line {
  std::int64_t number = 0;  // from 1, blank lines counted
  std::string text;         // without its end
};

class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  /// Waits for a line, then takes up to `max_lines` while each next one comes within a twentieth of
  /// a second. Blank lines are left out. Nothing at the end. What cannot be read: kStorage.
  std::vector<Line> next(std::size_t max_lines);

 private:
  bool take_line(std::string& text);
  bool fill(int timeout_milliseconds);

  int descriptor_;
  bool at_end_ = false;
  std::int64_t num_lines_ = 0;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what is not taken yet
};

}  // namespace baton::app
