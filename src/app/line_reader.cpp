#include "line_reader.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::app {
namespace {

constexpr int kForEver = -1;
constexpr int kPauseMilliseconds = 50;
constexpr std::size_t kPartSize = 1 << 16;

[[noreturn]] void fail_to_read() {
  throw base::Error(base::ErrorKind::kStorage, "the prompts cannot be read",
                    {.where = "standard input",
                     .found = std::strerror(errno),
                     .fix = "give a file or a pipe that can be read"});
}

}  // namespace

std::vector<Line> LineReader::next(std::size_t max_lines) {
  std::vector<Line> lines;
  std::string text;
  while (lines.size() < max_lines) {
    if (take_line(text)) {
      ++num_lines_;
      if (!base::trim(text).empty()) {
        lines.push_back({num_lines_, std::move(text)});
      }
    } else if (at_end_ || !fill(lines.empty() ? kForEver : kPauseMilliseconds)) {
      break;
    }
  }
  return lines;
}

bool LineReader::take_line(std::string& text) {
  const std::size_t end = buffer_.find('\n', begin_);
  if (end == std::string::npos && !(at_end_ && begin_ < buffer_.size())) {
    return false;
  }
  text = buffer_.substr(begin_, end == std::string::npos ? end : end - begin_);
  begin_ = end == std::string::npos ? buffer_.size() : end + 1;
  return true;
}

// Whether something came, the end included, within the time.
bool LineReader::fill(int timeout_milliseconds) {
  pollfd waiting{.fd = descriptor_, .events = POLLIN, .revents = 0};
  int num_ready = 0;
  do {
    num_ready = ::poll(&waiting, 1, timeout_milliseconds);
  } while (num_ready < 0 && errno == EINTR);
  if (num_ready < 0) {
    fail_to_read();
  }
  if (num_ready == 0) {
    return false;
  }
  std::array<char, kPartSize> part{};
  ssize_t count = 0;
  do {
    count = ::read(descriptor_, part.data(), part.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    fail_to_read();
  }
  at_end_ = count == 0;
  buffer_.erase(0, begin_);
  begin_ = 0;
  buffer_.append(part.data(), static_cast<std::size_t>(count));
  return true;
}

}  // namespace baton::app
