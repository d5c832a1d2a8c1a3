#include "baton/data/near_duplicates.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "baton/data/frame.hpp"

namespace baton::data {

namespace {

constexpr std::size_t kWordsTogether = 3;
constexpr std::size_t kSketchSize = 32;
// A row is looked for by its smallest hashes only: of rows that overlap by four fifths one of them
// is all but surely shared.
constexpr std::size_t kKeysOfRow = 6;
// What more rows than this hold says nothing of any of them.
constexpr std::size_t kMaxRowsOfKey = 64;

bool is_in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (const char c : text) {
    if (is_in_word(c)) {
      if (!in_word) {
        words.emplace_back();
      }
      words.back().push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    }
    in_word = is_in_word(c);
  }
  return words;
}

// FNV-1a, folded to 32 bits.
class TextHash {
 public:
  void add(const std::string& word) {
    for (const char c : word) {
      add(static_cast<unsigned char>(c));
    }
    add(static_cast<unsigned char>(' '));
  }
  std::uint32_t value() const {
    return static_cast<std::uint32_t>(hash_ >> 32) ^ static_cast<std::uint32_t>(hash_);
  }

 private:
  void add(unsigned char byte) { hash_ = (hash_ ^ byte) * 1099511628211ULL; }

  std::uint64_t hash_ = 14695981039346656037ULL;
};

std::vector<std::uint32_t> sketch_of(const std::string& text) {
  const std::vector<std::string> words = words_of(text);
  std::vector<std::uint32_t> hashes;
  const std::size_t together = std::min(kWordsTogether, words.size());
  for (std::size_t first = 0; together > 0 && first + together <= words.size(); ++first) {
    TextHash hash;
    for (std::size_t i = 0; i < together; ++i) {
      hash.add(words[first + i]);
    }
    hashes.push_back(hash.value());
  }
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  hashes.resize(std::min(hashes.size(), kSketchSize));
  return hashes;
}

// Of the smallest hashes of both together the share that is in both (Broder, 1997).
double overlap_of(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::size_t shared = 0;
  std::size_t all = 0;
  auto left = a.begin();
  auto right = b.begin();
  const bool is_sample = a.size() == kSketchSize || b.size() == kSketchSize;
  while ((left != a.end() || right != b.end()) && !(is_sample && all == kSketchSize)) {
    const bool takes_left = right == b.end() || (left != a.end() && *left <= *right);
    const bool takes_right = left == a.end() || (right != b.end() && *right <= *left);
    shared += takes_left && takes_right ? 1 : 0;
    ++all;
    left += takes_left ? 1 : 0;
    right += takes_right ? 1 : 0;
  }
  return all == 0 ? 0 : static_cast<double>(shared) / static_cast<double>(all);
}

}  // namespace

std::set<std::size_t> NearDuplicateFinder::tasks_with(const Row& row) const {
  std::set<std::size_t> tasks;
  for (std::size_t key = 0; key < std::min(kKeysOfRow, row.input.size()); ++key) {
    const auto holders = rows_by_hash_.find(row.input[key]);
    if (holders == rows_by_hash_.end()) {
      continue;
    }
    for (const std::uint32_t index : holders->second) {
      const Row& other = rows_[index];
      if (!tasks.contains(other.task) && overlap_of(row.input, other.input) >= kLeastOverlap &&
          overlap_of(row.whole, other.whole) >= kLeastOverlap) {
        tasks.insert(other.task);
      }
    }
  }
  return tasks;
}

std::vector<NearDuplicates> NearDuplicateFinder::add(const std::string& task,
                                                     std::span<const Example> rows) {
  const std::optional<Frame> frame = frame_of(rows);
  std::vector<Row> added;
  std::map<std::size_t, NearDuplicates> found;
  for (const Example& row : rows) {
    const std::string& text = row.conversation.back().text;
    Row made{tasks_.size(), sketch_of(frame ? frame->input_of(text) : text), sketch_of(text)};
    for (const std::size_t other : tasks_with(made)) {
      NearDuplicates& pair = found[other];
      pair.first = pair.num_rows++ == 0 ? row.origin : pair.first;
    }
    added.push_back(std::move(made));
  }
  // Only now, for a task is not compared with itself.
  for (Row& row : added) {
    for (std::size_t key = 0; key < std::min(kKeysOfRow, row.input.size()); ++key) {
      std::vector<std::uint32_t>& holders = rows_by_hash_[row.input[key]];
      if (holders.size() < kMaxRowsOfKey) {
        holders.push_back(static_cast<std::uint32_t>(rows_.size()));
      }
    }
    rows_.push_back(std::move(row));
  }
  std::vector<NearDuplicates> pairs;
  for (auto& [other, pair] : found) {
    pair.task = task;
    pair.other = tasks_[other];
    pair.num_task_rows = std::ssize(rows);
    pairs.push_back(std::move(pair));
  }
  tasks_.push_back(task);
  return pairs;
}

}  // namespace baton::data
