#pragma once
// Prompts of which one half belongs to a task and the other does not: its instruction above a
// foreign input, a foreign instruction above one of its inputs. As negatives they teach an expert
// that instruction and input have to go together. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "baton/data/example.hpp"
#include "baton/data/frame.hpp"
#include "baton/data/rehearsal_buffer.hpp"

namespace baton::method {

struct MismatchSources {
  std::span<const data::Example> own;  // with the frame `frame`
  const data::Frame& frame;
  std::span<const data::Example> general;                  // texts of no task; at least one
  std::vector<const data::RehearsalBuffer*> buffers = {};  // of other tasks, by name
};

/// `count` prompts without answers: in turn own instruction and foreign input, foreign instruction
/// and own input; foreign ones from the general texts and each buffer in turn. Of a buffer whose
/// rows have no instruction in common the whole text is an input; none of it, nor of one with
/// the very same instruction, stands above an own input.
std::vector<data::Example> mismatches(const MismatchSources& sources,
                                      std::size_t count,
                                      std::uint64_t seed);

}  // namespace baton::method
