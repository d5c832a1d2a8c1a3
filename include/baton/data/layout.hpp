#pragma once
// The file layouts by name (`formatting` in dataset_info.json). A layout is one reader file and one
// line in the list of layout.cpp: it turns a file into Examples and knows nothing of splits, limits
// or buffers.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

struct ReadRequest {
  std::filesystem::path path;
  std::map<std::string, std::string> columns;  // every column of the layout -> field of a row
  std::optional<std::string> instruction;
};

struct Layout {
  std::string name;
  std::map<std::string, std::string> columns;  // the columns it knows and their usual fields
  bool reads_instruction = false;
  std::vector<Example> (*read)(const ReadRequest& request);
};

const std::vector<Layout>& layouts();

/// An unknown name is a kData error with the known ones and the nearest.
const Layout& find_layout(const std::string& name, const std::string& origin);

/// The readers of the list. An Example's id is empty where the file gives none.
std::vector<Example> read_ssr(const ReadRequest& request);
std::vector<Example> read_alpaca(const ReadRequest& request);
std::vector<Example> read_bigbench(const ReadRequest& request);

}  // namespace baton::data
