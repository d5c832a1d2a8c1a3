#include "baton/checkpoint/statistics_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "content_digest.hpp"
#include "fact_codecs.hpp"

namespace baton::checkpoint {

namespace {

using expert::FeatureStatistics;

constexpr const char* kKind = "router_statistics";

std::string_view bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string digest_of(const FeatureStatistics& statistics) {
  ContentDigest digest(kKind);
  digest.add_int("format_version", kStatisticsFormatVersion);
  FeatureStatistics::fields(statistics, FactDigest(digest));
  digest.add("sum", bytes_of(statistics.sum)).add("gram", bytes_of(statistics.gram));
  return digest.hex();
}

void check_content(const H5File& file, const FeatureStatistics& statistics) {
  constexpr std::int64_t kMostWidth = 1 << 16;
  const std::int64_t width = statistics.width;
  const auto is_finite = [](float value) { return std::isfinite(value); };
  const bool fits = width > 0 && width <= kMostWidth && statistics.num_rows > 0 &&
                    statistics.num_inputs > 0 && statistics.layer > 0 &&
                    static_cast<std::int64_t>(statistics.sum.size()) == width &&
                    static_cast<std::int64_t>(statistics.gram.size()) == width * width;
  if (!fits) {
    refuse_content(
        file.path(), "datasets sum and gram", "sums of a width from 1 to 65536 over some rows",
        std::to_string(statistics.sum.size()) + " and " + std::to_string(statistics.gram.size()) +
            " numbers for width " + std::to_string(width));
  }
  if (!std::all_of(statistics.sum.begin(), statistics.sum.end(), is_finite) ||
      !std::all_of(statistics.gram.begin(), statistics.gram.end(), is_finite)) {
    refuse_content(file.path(), "datasets sum and gram", "finite numbers", "another");
  }
}

}  // namespace

void save_statistics(const std::filesystem::path& path, const FeatureStatistics& statistics) {
  publish_h5(path, [&](H5File& file) {
    file.set_text("kind", kKind);
    file.set_int("format_version", kStatisticsFormatVersion);
    FeatureStatistics::fields(statistics, FactWriter(file));
    file.set_text("content_sha256", digest_of(statistics));
    const std::array<std::int64_t, 2> shape{statistics.width, statistics.width};
    file.write_floats("sum", statistics.sum, std::span(shape).first(1));
    file.write_floats("gram", statistics.gram, shape);
  });
}

FeatureStatistics load_statistics(const std::filesystem::path& path) {
  const H5File file = H5File::open(path);
  check_kind(file, kKind, kStatisticsFormatVersion);
  FeatureStatistics statistics;
  FeatureStatistics::fields(statistics, FactReader(file));
  statistics.sum = file.read_floats("sum");
  statistics.gram = file.read_floats("gram");
  check_content(file, statistics);
  check_digest(file, "content_sha256", digest_of(statistics));
  return statistics;
}

}  // namespace baton::checkpoint
