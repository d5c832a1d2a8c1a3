#pragma once
// Where the benchmark's rows lie (the SSR split of SuperNI, TASK.train.json and TASK.eval.json), for
// tests that read all of them. They are not part of the repository: where they are missing such a
// test is skipped, and kNoBenchmarkRows says why.

#include <cstdlib>
#include <filesystem>

namespace baton::test {

inline std::filesystem::path benchmark_folder() {
  const char* given = std::getenv("BATON_BENCHMARK_DATA");
  return given != nullptr ? std::filesystem::path(given)
                          : std::filesystem::path(BATON_SOURCE_DIR) / "../shared/data/superni";
}

constexpr const char* kNoBenchmarkRows =
    "no benchmark rows: data/fetch.py ssr FOLDER fetches them, BATON_BENCHMARK_DATA names the "
    "folder; "
    "looked in ";

}  // namespace baton::test
