// Reads the sources and holds them to the rules of the tree: which folder may include which, where
// the headers of other people's libraries may appear, how long files are, which words stay out.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

using Folders = std::set<std::string>;

/// A folder's floor and the folders it may include (itself always). Nothing includes its own floor
/// or a higher one, except by the edges between neighbours that are written down here.
struct Room {
  int floor;
  Folders may_include;
};

const std::map<std::string, Room>& rooms() {
  static const std::map<std::string, Room> kRooms = {
      {"base", {0, {}}},
      {"device", {1, {"base"}}},
      {"expert", {1, {"base"}}},
      {"metrics", {1, {"base"}}},
      {"weights", {1, {"base", "expert"}}},
      {"config", {2, {"base", "expert"}}},
      {"coordinator", {2, {"base", "expert", "weights"}}},
      {"tokenizer", {2, {"base"}}},
      {"comm", {2, {"base", "device"}}},
      {"model", {2, {"base", "expert", "weights"}}},
      {"data", {3, {"base", "metrics", "tokenizer"}}},
      {"checkpoint", {4, {"base", "data", "expert"}}},
      {"train", {4, {"base", "comm", "data", "expert", "model"}}},
      {"method", {4, {"base", "config", "data", "expert"}}},
      {"run", {5, {"base", "checkpoint", "device", "expert", "weights"}}},
      {"eval", {5, {"base", "data", "expert", "method", "metrics", "model", "tokenizer"}}},
      {"work", {6, {"base", "comm", "coordinator", "run"}}},
      {"experiment",
       {7,
        {"base", "checkpoint", "comm", "config", "coordinator", "data", "device", "eval", "expert",
         "method", "model", "run", "tokenizer", "train", "weights", "work"}}},
      {"report", {8, {"base", "checkpoint", "expert", "run"}}},
      {"doctor", {8, {"base", "comm", "config", "device", "experiment", "run"}}},
      {"app",
       {9,
        {"base", "checkpoint", "comm", "config", "coordinator", "data", "device", "doctor", "eval",
         "experiment", "method", "metrics", "report", "run", "tokenizer", "weights", "work"}}},
  };
  return kRooms;
}

/// Neighbours on one floor that may know each other.
const std::set<std::pair<std::string, std::string>> kSideways = {{"weights", "expert"}};

/// Other people's headers, and the only folders of src whose files may include them.
struct Foreign {
  std::string name;
  std::regex header;
  Folders folders;
};

const std::vector<Foreign>& foreign_headers() {
  static const std::vector<Foreign> kForeign = {
      {"MPI", std::regex("mpi\\.h|mpi-ext\\.h|mpi/.*"), {"comm"}},
      {"NCCL", std::regex("nccl.*\\.h"), {"comm"}},
      {"CUDA",
       std::regex("(cuda|cublas|nvml|nvToolsExt).*|(c10|ATen)/cuda/.*"),
       {"comm", "device"}},
      {"HDF5", std::regex("(hdf5|H5[A-Za-z]*)(_hl)?\\.h"), {"checkpoint"}},
      {"OpenSSL", std::regex("openssl/.*"), {"base"}},
      {"PCRE2", std::regex("pcre2\\.h"), {"tokenizer"}},
      {"utf8proc", std::regex("utf8proc\\.h"), {"base", "metrics", "tokenizer"}},
      {"Boost.Program_options", std::regex("boost/(?!crc).*"), {"config", "app"}},
      {"Boost.CRC", std::regex("boost/crc\\.hpp"), {"run"}},
      {"spdlog", std::regex("spdlog/.*"), {"base"}},
  };
  return kForeign;
}

const Folders kTorchFolders = {"model", "train", "eval", "experiment", "doctor"};
constexpr std::size_t kMaxFileLines = 500;
constexpr std::size_t kMaxFunctionLines = 60;

struct SourceFile {
  fs::path path;       // below the source root
  std::string area;    // "src" or "include"
  std::string folder;  // "comm"
  std::vector<std::string> lines;
};

const fs::path kRoot = BATON_SOURCE_DIR;

std::vector<std::string> read_lines(const fs::path& path) {
  std::ifstream stream(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool is_cpp(const fs::path& path) {
  return path.extension() == ".hpp" || path.extension() == ".cpp" || path.extension() == ".cu";
}

std::vector<SourceFile> read_area(const std::string& area, const fs::path& top) {
  std::vector<SourceFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
    if (!entry.is_regular_file() || !is_cpp(entry.path())) continue;
    const fs::path inside = fs::relative(entry.path(), kRoot / top);
    files.push_back({fs::relative(entry.path(), kRoot), area, inside.begin()->string(),
                     read_lines(entry.path())});
  }
  return files;
}

const std::vector<SourceFile>& product_files() {
  static const std::vector<SourceFile> kFiles = [] {
    std::vector<SourceFile> files = read_area("src", "src");
    const std::vector<SourceFile> headers = read_area("include", "include/baton");
    files.insert(files.end(), headers.begin(), headers.end());
    std::sort(files.begin(), files.end(),
              [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
    return files;
  }();
  return kFiles;
}

std::string at(const SourceFile& file, std::size_t line_index) {
  return file.path.string() + ":" + std::to_string(line_index + 1) + ": ";
}

/// The text between the brackets or quotes of an include line; empty for any other line.
std::string included(const std::string& line) {
  static const std::regex kInclude("\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"].*");
  std::smatch match;
  return std::regex_match(line, match, kInclude) ? match[1].str() : "";
}

/// The folder of ours that an include names; empty when it is none of ours.
std::string our_folder(const std::string& header) {
  const std::string prefix = "baton/";
  if (header.starts_with(prefix)) {
    return header.substr(prefix.size(), header.find('/', prefix.size()) - prefix.size());
  }
  const std::string first = header.substr(0, header.find('/'));
  return header.find('/') != std::string::npos && rooms().contains(first) ? first : "";
}

bool may_include(const std::string& from, const std::string& to) {
  return from == to || (rooms().contains(from) && rooms().at(from).may_include.contains(to));
}

TEST(Layers, TheTableOnlyPointsDown) {
  for (const auto& [name, room] : rooms()) {
    for (const std::string& target : room.may_include) {
      ASSERT_TRUE(rooms().contains(target)) << name << " -> " << target;
      EXPECT_TRUE(rooms().at(target).floor < room.floor || kSideways.contains({name, target}))
          << name << " -> " << target;
    }
  }
}

TEST(Layers, EveryFolderIsInTheTable) {
  ASSERT_GT(product_files().size(), 20U);
  for (const SourceFile& file : product_files()) {
    EXPECT_TRUE(rooms().contains(file.folder)) << file.path << ": give the folder a floor";
  }
}

TEST(Layers, IncludesGoDown) {
  std::size_t num_seen = 0;
  for (const SourceFile& file : product_files()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string target = our_folder(included(file.lines[i]));
      if (target.empty()) continue;
      ++num_seen;
      EXPECT_TRUE(may_include(file.folder, target))
          << at(file, i) << file.folder << " may not include " << target;
    }
  }
  EXPECT_GT(num_seen, 50U);
}

TEST(Layers, ForeignHeadersStayInTheirFolder) {
  for (const SourceFile& file : product_files()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string header = included(file.lines[i]);
      for (const Foreign& foreign : foreign_headers()) {
        if (header.empty() || !std::regex_match(header, foreign.header)) continue;
        EXPECT_TRUE(file.area == "src" && foreign.folders.contains(file.folder))
            << at(file, i) << foreign.name << " headers do not belong here";
      }
    }
  }
}

TEST(Layers, LibTorchStaysOutOfTheFoldersWithoutIt) {
  const std::regex torch_header("(torch|ATen|c10|caffe2)/.*");
  for (const SourceFile& file : product_files()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (!std::regex_match(included(file.lines[i]), torch_header)) continue;
      EXPECT_TRUE(kTorchFolders.contains(file.folder)) << at(file, i) << file.lines[i];
    }
  }
}

TEST(Layers, ModelAndDataNeverSeeACommunicator) {
  const std::regex rank_word(
      "\\b(Communicator|ProcessWorld|MPI_[A-Z]\\w*|world_rank|group_rank)\\b");
  for (const SourceFile& file : product_files()) {
    if (file.folder != "model" && file.folder != "data") continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string code = file.lines[i].substr(0, file.lines[i].find("//"));
      EXPECT_FALSE(std::regex_search(code, rank_word)) << at(file, i) << file.lines[i];
    }
  }
}

TEST(Headers, HaveNoBuildSwitchesAndAreGuarded) {
  const std::regex switch_line("\\s*#\\s*(if|ifdef|ifndef|elif)\\b.*");
  for (const SourceFile& file : product_files()) {
    if (file.path.extension() != ".hpp") continue;
    EXPECT_TRUE(std::find(file.lines.begin(), file.lines.end(), "#pragma once") != file.lines.end())
        << file.path << " lacks #pragma once";
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (file.area == "include") {
        EXPECT_FALSE(std::regex_match(file.lines[i], switch_line)) << at(file, i) << file.lines[i];
      }
      EXPECT_FALSE(file.lines[i].starts_with("using namespace")) << at(file, i) << file.lines[i];
    }
  }
}

TEST(Sizes, FilesStayShort) {
  for (const SourceFile& file : product_files()) {
    EXPECT_LE(file.lines.size(), kMaxFileLines) << file.path;
  }
}

/// Length in lines of each block that opens at the left edge and is no namespace, type or table.
std::vector<std::pair<std::size_t, std::size_t>> function_lengths(const SourceFile& file) {
  static const std::regex kOther(
      "^(namespace|class|struct|enum|union|constexpr|const|static const)\\b.*");
  std::vector<std::pair<std::size_t, std::size_t>> found;  // first line, number of lines
  std::size_t start = 0;
  bool inside = false;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    const bool at_edge =
        !line.empty() && line.front() != ' ' && line.front() != '#' && line.front() != '/';
    if (!inside && at_edge && line.front() != '}' && !std::regex_match(line, kOther)) {
      start = i;
      inside = line.find(';') == std::string::npos;
    } else if (inside && line.starts_with("}")) {
      found.emplace_back(start, i - start + 1);
      inside = false;
    } else if (inside && line.empty() && i == start + 1) {
      inside = false;
    }
  }
  return found;
}

// A report, not a verdict: a long function needs a reason, which a reader must judge.
TEST(Sizes, LongFunctionsAreListed) {
  std::size_t num_functions = 0;
  for (const SourceFile& file : product_files()) {
    for (const auto& [start, num_lines] : function_lengths(file)) {
      ++num_functions;
      if (num_lines > kMaxFunctionLines) {
        std::cout << at(file, start) << num_lines << " lines: " << file.lines[start] << "\n";
      }
    }
  }
  EXPECT_GT(num_functions, 50U);
}

bool is_text(const fs::path& path) {
  static const std::set<std::string> kExtensions = {".hpp",  ".cpp",    ".cu",    ".h",  ".py",
                                                    ".sh",   ".txt",    ".cmake", ".md", ".cfg",
                                                    ".json", ".sbatch", ""};
  return kExtensions.contains(path.extension().string()) && fs::file_size(path) < 1'000'000;
}

// What is left to do is not left in comments.
TEST(Words, StayOut) {
  const std::vector<std::string> forbidden = {"TODO", "FIXME", "XXX:"};
  const fs::path self = fs::path("tests") / "structure" / "layers_test.cpp";
  std::size_t num_files = 0;
  for (const char* top :
       {"src", "include", "launch", "configs", "data", "tests", "slurm", "bench", ".ci"}) {
    if (!fs::exists(kRoot / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      const fs::path path = fs::relative(entry.path(), kRoot);
      if (!entry.is_regular_file() || path == self || !is_text(entry.path())) continue;
      const std::vector<std::string> lines = read_lines(entry.path());
      ++num_files;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].size() > 2000) continue;  // data, not prose
        for (const std::string& word : forbidden) {
          EXPECT_EQ(lines[i].find(word), std::string::npos)
              << path.string() << ":" << i + 1 << ": " << lines[i];
        }
      }
    }
  }
  EXPECT_GT(num_files, 50U);
}

// Methods and routers are asked for by their keys, never by a name in the code.
TEST(Words, MethodsAndRoutersAreNamedInTheirRoomAndAmongTheKeysValues) {
  std::set<std::string> places;
  for (const SourceFile& file : product_files()) {
    for (const std::string& line : file.lines) {
      for (const char* name : {"sequential", "replay", "multitask", "o_lora", "see", "oracle"}) {
        if (line.find("\"" + std::string(name) + "\"") != std::string::npos &&
            file.folder != "method") {
          places.insert(file.path.string());
        }
      }
    }
  }
  places.erase("src/eval/report.cpp");                  // the column "oracle" of its tables
  places.erase("include/baton/report/loaded_run.hpp");  // the key of it
  EXPECT_EQ(places, (std::set<std::string>{"src/config/option_table.cpp"}));
}

// The readers above must see what they are meant to see.
TEST(Readers, UnderstandIncludeLines) {
  EXPECT_EQ(included("#include <mpi.h>"), "mpi.h");
  EXPECT_EQ(included("  #  include \"baton/comm/communicator.hpp\"  // why"),
            "baton/comm/communicator.hpp");
  EXPECT_EQ(included("// #include <mpi.h>"), "");
  EXPECT_EQ(our_folder("baton/comm/communicator.hpp"), "comm");
  EXPECT_EQ(our_folder("comm/check.hpp"), "comm");
  EXPECT_EQ(our_folder("sys/stat.h"), "");
  EXPECT_TRUE(may_include("comm", "device"));
  EXPECT_FALSE(may_include("device", "comm"));
  EXPECT_FALSE(may_include("model", "comm"));
  EXPECT_FALSE(may_include("train", "checkpoint"));
}

}  // namespace
