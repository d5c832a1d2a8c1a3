#include "baton/base/json.hpp"

#include <set>
#include <vector>

#include "baton/base/file.hpp"
#include "baton/base/text.hpp"

namespace baton::base {

namespace {

constexpr int kMaxDepth = 64;

// Watches the parse events: depth, and keys seen in every open object.
class Guard {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    if (depth > kMaxDepth) {
      throw std::length_error("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    switch (event) {
      case Json::parse_event_t::object_start:
        keys_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys_.back().insert(value.get<std::string>()).second) {
          throw std::length_error("the key \"" + value.get<std::string>() +
                                  "\" stands there twice");
        }
        break;
      default:
        break;
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

[[noreturn]] void refuse(ErrorKind kind, const std::string& origin, const std::string& found) {
  throw Error(kind, "not valid JSON",
              {.where = origin,
               .expected = "one JSON value in UTF-8",
               .found = found,
               .fix = "repair or fetch the file again"});
}

}  // namespace

Json parse_json(std::string_view text, ErrorKind kind, const std::string& origin) {
  refuse_git_lfs_pointer(text, kind, origin);
  if (const auto position = find_invalid_utf8(text)) {
    refuse(kind, origin, "a byte that is not UTF-8 at offset " + std::to_string(*position));
  }
  Guard guard;
  try {
    return Json::parse(text.begin(), text.end(),
                       [&guard](int depth, Json::parse_event_t event, Json& value) {
                         return guard(depth, event, value);
                       });
  } catch (const Json::parse_error& error) {
    const std::string message = error.what();
    // The library's message ends with what it read last, which may be user data: keep place and
    // reason only.
    const std::size_t cut = message.find("; last read");
    refuse(kind, origin,
           message.substr(message.find("] ") + 2,
                          cut == std::string::npos ? cut : cut - message.find("] ") - 2));
  } catch (const Json::exception& error) {
    refuse(kind, origin, error.what());
  } catch (const std::length_error& error) {
    refuse(kind, origin, error.what());
  }
}

Json read_json_file(const std::filesystem::path& path, ErrorKind kind) {
  return parse_json(read_file(path, kind), kind, path.string());
}

}  // namespace baton::base
