#include "baton/checkpoint/buffer_file.hpp"

#include <cmath>
#include <string_view>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "content_digest.hpp"

namespace baton::checkpoint {

namespace {

using data::Example;
using data::RehearsalBuffer;

struct RowBlob {
  std::string lines;
  std::vector<std::int64_t> offsets{0};
};

std::string row_to_json(const Example& row) {
  base::OrderedJson json;
  json["id"] = row.id;
  json["conversation"] = base::OrderedJson::array();
  for (const tokenizer::Message& message : row.conversation) {
    json["conversation"].push_back({{"role", message.role}, {"content", message.text}});
  }
  json["references"] = row.references;
  try {
    return json.dump();
  } catch (const base::OrderedJson::exception& error) {
    throw base::Error(base::ErrorKind::kData, "a row cannot be stored as JSON",
                      {.where = row.origin + " (row " + row.id + ")",
                       .expected = "UTF-8 text",
                       .found = error.what(),
                       .fix = "repair the row"});
  }
}

RowBlob pack_rows(const std::vector<Example>& rows) {
  RowBlob blob;
  for (const Example& row : rows) {
    blob.lines += row_to_json(row) + "\n";
    blob.offsets.push_back(static_cast<std::int64_t>(blob.lines.size()));
  }
  return blob;
}

bool has_origin(const RehearsalBuffer& buffer) {
  return buffer.selection == "kmeans";
}

std::string digest_of(const RehearsalBuffer& facts, const RowBlob& blob) {
  ContentDigest digest("baton rehearsal buffer content");
  digest.add_int("format_version", kBufferFormatVersion)
      .add("task", facts.task)
      .add_int("num_task_rows", facts.num_task_rows)
      .add_real("ratio", facts.ratio)
      .add_unsigned("seed", facts.seed)
      .add("selection", facts.selection)
      .add("rows", blob.lines);
  for (const std::int64_t offset : blob.offsets) {
    digest.add_int("offset", offset);
  }
  if (has_origin(facts)) {
    digest.add("chosen_from", facts.chosen_from);
  }
  return digest.hex();
}

Example row_from_json(std::string_view line, const std::string& origin) {
  const base::Json json = base::parse_json(line, base::ErrorKind::kModel, origin);
  Example row;
  row.origin = origin;
  try {
    row.id = json.at("id").get<std::string>();
    for (const base::Json& message : json.at("conversation")) {
      row.conversation.push_back(
          {message.at("role").get<std::string>(), message.at("content").get<std::string>()});
    }
    row.references = json.at("references").get<std::vector<std::string>>();
  } catch (const base::Json::exception& error) {
    refuse_content(origin, "", "id, conversation (role, content) and references", error.what());
  }
  return row;
}

void check_offsets(const H5File& file, const RowBlob& blob) {
  bool fine = !blob.offsets.empty() && blob.offsets.front() == 0 &&
              blob.offsets.back() == static_cast<std::int64_t>(blob.lines.size());
  for (std::size_t i = 1; fine && i < blob.offsets.size(); ++i) {
    fine = blob.offsets[i] > blob.offsets[i - 1];
  }
  if (!fine) {
    refuse_content(file.path(), "dataset row_offsets", "rising offsets from 0 to the size of rows",
                   "others");
  }
}

// What the digest covers but nobody has looked at: the file may be somebody else's.
void check_facts(const H5File& file, const RehearsalBuffer& buffer, const std::string& task) {
  if (base::find_invalid_utf8(buffer.task) || buffer.task.empty()) {
    refuse_content(file.path(), "attribute task", "a name in UTF-8", "another text");
  }
  if (!task.empty() && buffer.task != task) {
    refuse_content(file.path(), "attribute task", "\"" + task + "\", as run.json calls this file",
                   "\"" + buffer.task + "\"");
  }
  const auto num_rows = static_cast<std::int64_t>(buffer.rows.size());
  if (buffer.num_task_rows < num_rows) {
    refuse_content(file.path(), "attribute num_task_rows",
                   std::to_string(num_rows) + " or more, the rows in the buffer",
                   std::to_string(buffer.num_task_rows));
  }
  if (!(buffer.ratio >= 0 && std::isfinite(buffer.ratio))) {
    refuse_content(file.path(), "attribute ratio", "a finite number, 0 or more",
                   std::to_string(buffer.ratio));
  }
}

}  // namespace

void save_buffer(const std::filesystem::path& path, const RehearsalBuffer& buffer) {
  const RowBlob blob = pack_rows(buffer.rows);
  publish_h5(path, [&](H5File& file) {
    file.set_text("kind", kBufferKind);
    file.set_int("format_version", kBufferFormatVersion);
    file.set_text("task", buffer.task);
    file.set_int("num_task_rows", buffer.num_task_rows);
    file.set_int("num_rows", static_cast<std::int64_t>(buffer.rows.size()));
    file.set_real("ratio", buffer.ratio);
    file.set_unsigned("seed", buffer.seed);
    file.set_text("selection", buffer.selection);
    if (has_origin(buffer)) {
      file.set_text("chosen_from", buffer.chosen_from);
    }
    file.set_text("fingerprint", buffer.fingerprint());
    file.set_text("content_sha256", digest_of(buffer, blob));
    file.write_bytes("rows", blob.lines);
    file.write_ints("row_offsets", blob.offsets);
  });
}

RehearsalBuffer load_buffer(const std::filesystem::path& path, const std::string& task) {
  const H5File file = H5File::open(path);
  check_kind(file, kBufferKind, kBufferFormatVersion);
  RehearsalBuffer buffer;
  buffer.task = file.text("task");
  buffer.num_task_rows = file.integer("num_task_rows");
  buffer.ratio = file.real("ratio");
  buffer.seed = file.unsigned_integer("seed");
  buffer.selection = file.text("selection");
  buffer.chosen_from = has_origin(buffer) ? file.text("chosen_from") : "";
  const RowBlob blob{file.read_bytes("rows"), file.read_ints("row_offsets")};
  check_digest(file, "content_sha256", digest_of(buffer, blob));
  check_offsets(file, blob);
  const auto num_rows = static_cast<std::int64_t>(blob.offsets.size()) - 1;
  if (file.integer("num_rows") != num_rows) {
    refuse_content(path, "attribute num_rows", std::to_string(num_rows),
                   std::to_string(file.integer("num_rows")));
  }
  for (std::size_t i = 0; i + 1 < blob.offsets.size(); ++i) {
    const auto begin = static_cast<std::size_t>(blob.offsets[i]);
    const auto end = static_cast<std::size_t>(blob.offsets[i + 1]);
    buffer.rows.push_back(row_from_json(std::string_view(blob.lines).substr(begin, end - begin),
                                        path.string() + " row " + std::to_string(i + 1)));
  }
  check_facts(file, buffer, task);
  const std::string fingerprint = file.text("fingerprint");
  if (fingerprint != buffer.fingerprint()) {
    refuse_content(path, "attribute fingerprint", buffer.fingerprint() + ", as the content gives",
                   fingerprint);
  }
  return buffer;
}

}  // namespace baton::checkpoint
