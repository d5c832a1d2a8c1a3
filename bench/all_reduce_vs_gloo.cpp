// Our side of all_reduce_vs_gloo.py: two or more ranks that sum one flat gradient in host memory.
// Rank 0 takes "COUNT ITERATIONS" lines on stdin and answers with one JSON line: the seconds of
// each sum on rank 0, and whether the sums were right on every rank. Between rounds no rank spins.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "baton/comm/process_world.hpp"

namespace {

using baton::comm::Communicator;
using baton::comm::Mailbox;
using baton::comm::ProcessWorld;

struct Round {
  std::size_t count = 0;
  int iterations = 0;
};

Round round_of(const std::string& line) {
  Round round;
  std::istringstream(line) >> round.count >> round.iterations;
  return round;
}

/// The next line: rank 0's from stdin, the others' from rank 0. "" is the end.
std::string next_line(ProcessWorld& world) {
  std::string line;
  if (world.rank() == 0) {
    if (!std::getline(std::cin, line)) {
      line.clear();
    }
    for (int rank = 1; rank < world.size(); ++rank) {
      world.send_control(rank, Mailbox::kWorker, line);
    }
    return line;
  }
  for (;;) {
    if (const auto message = world.poll_control(Mailbox::kWorker)) {
      return message->bytes;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

nlohmann::json run(const Round& round, Communicator& group) {
  std::vector<float> gradient(round.count);
  std::vector<double> seconds;
  bool is_right = true;
  for (int i = 0; i < round.iterations; ++i) {
    const auto mine = static_cast<float>(group.rank() + 1 + i);
    std::fill(gradient.begin(), gradient.end(), mine);
    group.barrier();
    const auto start = std::chrono::steady_clock::now();
    group.all_reduce_sum({gradient.data(), gradient.size(), false});
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    const auto sum = static_cast<float>(group.size() * (group.size() + 1) / 2 + group.size() * i);
    is_right = is_right && gradient.front() == sum && gradient[gradient.size() / 2] == sum &&
               gradient.back() == sum;
  }
  is_right = group.all_reduce_max(is_right ? 0 : 1) == 0;
  return {{"seconds", seconds}, {"is_right", is_right}};
}

}  // namespace

int main(int argc, char** argv) {
  ProcessWorld world(&argc, &argv);
  auto group = world.make_world_group();
  if (world.rank() == 0) {
    std::cout << R"({"ready": true})" << std::endl;
  }
  for (std::string line = next_line(world); !line.empty(); line = next_line(world)) {
    const nlohmann::json answer = run(round_of(line), *group);
    if (world.rank() == 0) {
      std::cout << answer << std::endl;
    }
  }
  group->close();
  world.close();
  return 0;
}
