// What saving training state costs: how long the training waits for a copy, and how long it takes
// until that copy is durable. Prints one JSON object for each number of parameters (SmolLM2-135M
// with rank 8 on q and v, and on all seven linears) and kind of copy. Between two saves the caches
// are filled with other memory, as a training step does.
//   checkpoint_stall FOLDER [SAVES=50]

#include <algorithm>
#include <cstring>
#include <functional>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/stream_copy.hpp"
#include "baton/checkpoint/checkpoint_writer.hpp"
#include "baton/checkpoint/generation.hpp"

namespace {

using baton::base::OrderedJson;
using baton::expert::TrainingState;

constexpr std::int64_t kQueryAndValue = 460'800;
constexpr std::int64_t kAllLinears = 2'442'240;
constexpr std::size_t kOtherFloats = std::size_t{48} << 20;

OrderedJson spread(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {{"min_ms", 1e3 * seconds.front()},
          {"median_ms", 1e3 * seconds[seconds.size() / 2]},
          {"max_ms", 1e3 * seconds.back()}};
}

using Copy = std::function<void(std::span<const float>, std::span<float>)>;

void plain_copy(std::span<const float> from, std::span<float> to) {
  std::memcpy(to.data(), from.data(), from.size_bytes());
}

OrderedJson measure(const std::string& folder,
                    std::int64_t num_parameters,
                    int num_saves,
                    const Copy& copy_values) {
  const auto size = static_cast<std::size_t>(num_parameters);
  std::vector<float> parameters(size);
  std::iota(parameters.begin(), parameters.end(), 0.5F);
  const std::vector<float> first_moment = parameters;
  const std::vector<float> second_moment = parameters;
  std::vector<float> other(kOtherFloats, 1.0F);
  std::vector<double> copy;
  std::vector<double> write;
  double sum = 0;
  {
    baton::checkpoint::CheckpointWriter writer(folder, num_parameters,
                                               [&](const baton::checkpoint::SaveReport& report) {
                                                 copy.push_back(report.copy_seconds);
                                                 write.push_back(report.write_seconds);
                                               });
    for (int step = 1; step <= num_saves; ++step) {
      sum += std::accumulate(other.begin(), other.end(), 0.0);
      parameters[0] = static_cast<float>(step);
      writer.save([&](TrainingState& state) {
        state.task = "qa";
        state.step = step;
        state.num_updates = num_saves;
        copy_values(parameters, state.parameters);
        copy_values(first_moment, state.first_moment);
        copy_values(second_moment, state.second_moment);
      });
      writer.wait();
    }
  }
  baton::checkpoint::remove_generations(folder);
  return {{"num_parameters", num_parameters},
          {"saves", copy.size()},
          {"training_waits", spread(copy)},
          {"until_durable", spread(write)},
          {"checksum", sum}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "checkpoint_stall FOLDER [SAVES]\n";
    return 2;
  }
  try {
    const int num_saves = argc == 3 ? std::stoi(argv[2]) : 50;
    for (const std::int64_t num_parameters : {kQueryAndValue, kAllLinears}) {
      for (const bool streams : {false, true}) {
        OrderedJson result =
            measure(std::string(argv[1]) + "/checkpoint_stall", num_parameters, num_saves,
                    streams ? Copy(baton::base::stream_copy) : Copy(plain_copy));
        result["copy"] = streams ? "stream_copy" : "memcpy";
        std::cout << result.dump() << std::endl;
      }
    }
  } catch (const baton::base::Error& error) {
    std::cerr << error.what() << "\n";
    return baton::base::exit_code(error.kind());
  }
  return 0;
}
