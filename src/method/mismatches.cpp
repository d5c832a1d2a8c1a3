#include "mismatches.hpp"

#include "baton/base/seed.hpp"

namespace baton::method {

namespace {

const std::string& text_of(const data::Example& row) {
  return row.conversation.back().text;
}

class Mismatches {
 public:
  Mismatches(const MismatchSources& sources, std::uint64_t seed)
      : sources_(sources), random_(seed) {
    lists_.push_back({sources.general, std::nullopt, false});
    for (const data::RehearsalBuffer* buffer : sources.buffers) {
      if (!buffer->rows.empty()) {
        lists_.push_back({buffer->rows, data::frame_of(buffer->rows), true});
      }
    }
  }

  data::Example make(std::size_t index) {
    const List& list = lists_[index / 2 % lists_.size()];
    data::Example made = draw(sources_.own);
    made.references.clear();
    made.id = "mismatch-" + std::to_string(index + 1);
    std::string& text = made.conversation.back().text;
    const std::string own_input = sources_.frame.input_of(text);
    const std::string& other = text_of(draw(list.rows));
    if (index % 2 == 0) {
      text = sources_.frame.before + (list.frame ? list.frame->input_of(other) : other) +
             sources_.frame.after;
    } else if (list.frame && list.frame->before != sources_.frame.before) {
      text = list.frame->before + own_input + list.frame->after;
    } else {
      text = (list.is_task ? text_of(draw(sources_.general)) : other) + "\n" + own_input;
    }
    return made;
  }

 private:
  struct List {
    std::span<const data::Example> rows;
    std::optional<data::Frame> frame;
    bool is_task;
  };

  const data::Example& draw(std::span<const data::Example> rows) {
    return rows[random_.below(rows.size())];
  }

  const MismatchSources& sources_;
  base::Random random_;
  std::vector<List> lists_;
};

}  // namespace

std::vector<data::Example> mismatches(const MismatchSources& sources,
                                      std::size_t count,
                                      std::uint64_t seed) {
  Mismatches maker(sources, seed);
  std::vector<data::Example> made;
  for (std::size_t index = 0; index < count; ++index) {
    made.push_back(maker.make(index));
  }
  return made;
}

}  // namespace baton::method
