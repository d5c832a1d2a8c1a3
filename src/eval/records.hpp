#pragma once
// Records of one rank as bytes and back: CBOR, so that every double keeps its bits.

#include <string>

#include "baton/eval/evaluator.hpp"

namespace baton::eval {

std::string to_bytes(const LocalEvaluation& local);
LocalEvaluation from_bytes(const std::string& bytes);

}  // namespace baton::eval
