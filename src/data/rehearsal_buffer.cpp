#include "baton/data/rehearsal_buffer.hpp"

#include <fmt/format.h>

#include "baton/base/sha256.hpp"

namespace baton::data {

namespace {

// Everything of the rows that training can see.
void add_rows(base::Sha256& hash, std::span<const Example> rows) {
  hash.add_field(std::to_string(rows.size()));
  for (const Example& row : rows) {
    hash.add_field(row.id).add_field(std::to_string(row.conversation.size()));
    for (const tokenizer::Message& message : row.conversation) {
      hash.add_field(message.role).add_field(message.text);
    }
    hash.add_field(std::to_string(row.references.size()));
    for (const std::string& reference : row.references) {
      hash.add_field(reference);
    }
  }
}

}  // namespace

std::string rows_fingerprint(std::span<const Example> rows) {
  base::Sha256 hash;
  add_rows(hash, rows);
  return hash.hex();
}

std::string RehearsalBuffer::fingerprint() const {
  base::Sha256 hash;
  hash.add_field("rehearsal buffer 1").add_field(task).add_field(std::to_string(num_task_rows));
  hash.add_field(fmt::format("{:.17g}", ratio))
      .add_field(std::to_string(seed))
      .add_field(selection);
  add_rows(hash, rows);
  return hash.hex();
}

}  // namespace baton::data
