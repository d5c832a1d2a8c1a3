#pragma once
// The general rows that come with Baton: a few hundred instructions of many kinds that belong to no
// task (data/general). They are compiled in, so every expert of every run folder finds them,
// wherever the program was installed or the folder was moved.

#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

/// Prompts without answers, in file order: they are only ever passed on.
std::vector<Example> builtin_general_rows();

}  // namespace baton::data
