#include "baton/work/position.hpp"

#include <fmt/format.h>

#include "baton/base/wire.hpp"

namespace baton::work {
namespace {

constexpr std::uint8_t kReportVersion = 3;

}  // namespace

std::string to_bytes(const Position& position) {
  base::ByteWriter writer;
  writer.put(kReportVersion);
  writer.put(position);
  return writer.take();
}

Position position_from(const std::string& bytes) {
  base::ByteReader reader(bytes, "a report of the watchdog");
  std::uint8_t version = 0;
  reader.get(version);
  if (version != kReportVersion) {
    reader.refuse(fmt::format("version {}", kReportVersion), fmt::format("version {}", version));
  }
  Position position;
  reader.get(position);
  reader.end();
  return position;
}

}  // namespace baton::work
