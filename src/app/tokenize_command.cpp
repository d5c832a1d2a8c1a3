#include "tokenize_command.hpp"

#include "baton/tokenizer/tokenize_lines.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::app {

int run_tokenize(const std::filesystem::path& model_folder, std::istream& in, std::ostream& out) {
  const auto tokenizer = tokenizer::load_tokenizer(model_folder);
  tokenizer::tokenize_lines(*tokenizer, in, out);
  return 0;
}

}  // namespace baton::app
