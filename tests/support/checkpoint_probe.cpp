// A small program that writes and reads Baton's files, for tests that take its disk away or kill
// it.
//
//   save FOLDER FIRST LAST [SIZE]   generations of the steps FIRST to LAST; "saved STEP" after each
//   loop FOLDER [SIZE]              the same by a CheckpointWriter, from the newest on, without end
//   newest FOLDER [SIZE]            {"step", "right", "path", "passed_over"}; step -1 for none
//   serve FOLDER [SIZE]             "newest" for each line of stdin, in a process of its own, so
//                                   that a crash is an answer too: {"signal": N}; 14 after 20 s
//   write KIND PATH VALUE           a file (KIND expert, buffer, text) or run folder (KIND run)
//   read KIND PATH                  {"value"} of it
//   spoil FROM TO FACT              a whole expert file of which one fact cannot be used
//
// What a value or step means for the content is fixed here, so that "right" can be told without a
// second copy.

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/checkpoint/checkpoint_writer.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/run/run_record.hpp"

namespace {

using baton::base::Json;
using baton::expert::TrainingState;

constexpr std::int64_t kNumUpdates = 100'000'000;

void fill(TrainingState& state, std::int64_t step) {
  state.task = "qa";
  state.identity.set("learning_rate", "0.0002");
  state.identity.set("note", std::string(300, 'n'));
  state.seed = 12345;
  state.step = step;
  state.num_updates = kNumUpdates;
  for (std::size_t i = 0; i < state.parameters.size(); ++i) {
    state.parameters[i] = static_cast<float>(step) + static_cast<float>(i % 1024) / 1024;
    state.first_moment[i] = -state.parameters[i];
    state.second_moment[i] = static_cast<float>(i);
  }
  state.skipped_updates = {1, step};
  state.seconds = static_cast<double>(step) / 7;
}

TrainingState state_of(std::int64_t step, std::size_t size) {
  TrainingState state;
  state.parameters.resize(size);
  state.first_moment.resize(size);
  state.second_moment.resize(size);
  fill(state, step);
  return state;
}

bool is_right(const TrainingState& found) {
  const TrainingState expected = state_of(found.step, found.parameters.size());
  return found.task == expected.task && found.identity.facts() == expected.identity.facts() &&
         found.seed == expected.seed && found.num_updates == expected.num_updates &&
         found.parameters == expected.parameters && found.first_moment == expected.first_moment &&
         found.second_moment == expected.second_moment &&
         found.skipped_updates == expected.skipped_updates && found.seconds == expected.seconds;
}

Json newest(const std::string& folder, std::size_t size) {
  const auto [state, path, passed_over] = baton::checkpoint::load_newest_generation(folder);
  return {{"step", state ? state->step : -1},
          {"right", !state || (is_right(*state) && state->parameters.size() == size)},
          {"path", path.string()},
          {"passed_over", passed_over}};
}

int serve(const std::string& folder, std::size_t size) {
  constexpr unsigned kMaxSeconds = 20;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout.flush();
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(kMaxSeconds);
      Json answer;
      try {
        answer = newest(folder, size);
      } catch (const baton::base::Error& error) {
        answer = {{"error", error.what()}, {"code", baton::base::exit_code(error.kind())}};
      }
      std::cout << answer.dump() << std::endl;
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      const int number = WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
      std::cout << Json{{"signal", number}}.dump() << std::endl;
    }
  }
  return 0;
}

[[noreturn]] void loop(const std::string& folder, std::size_t size) {
  baton::checkpoint::CheckpointWriter writer(folder, static_cast<std::int64_t>(size),
                                             [](const baton::checkpoint::SaveReport& report) {
                                               std::cout << "saved " << report.step << std::endl;
                                             });
  std::int64_t step = newest(folder, size).at("step");
  std::cout << "from " << step << std::endl;
  while (true) {
    step = std::max<std::int64_t>(step, 0) + 1;
    writer.save_and_wait([step](TrainingState& state) { fill(state, step); });
  }
}

baton::expert::ExpertState expert_of(std::int64_t value) {
  baton::expert::ExpertState state;
  state.task = "qa";
  state.identity.set("value", std::to_string(value));
  state.lora_rank = 2;
  state.lora_alpha = 4;
  state.lora_target = {"q_proj"};
  state.accept_token_id = 1;
  state.pass_token_id = 2;
  state.steps = value;
  state.arrays.push_back({baton::expert::peft_key(0, "q_proj", 'A'),
                          {2, 20'000},
                          std::vector<float>(40'000, static_cast<float>(value))});
  state.arrays.push_back({baton::expert::peft_key(0, "q_proj", 'B'), {1, 2}, {0, 0}});
  return state;
}

baton::data::RehearsalBuffer buffer_of(std::int64_t value) {
  baton::data::RehearsalBuffer buffer;
  buffer.task = "qa";
  buffer.num_task_rows = 500 + value;
  for (int i = 0; i < 500; ++i) {
    buffer.rows.push_back({std::to_string(i), {{"user", std::string(100, 'q')}}, {"a"}, ""});
  }
  return buffer;
}

void write(const std::string& kind, const std::string& path, std::int64_t value) {
  if (kind == "expert") {
    baton::checkpoint::save_expert(path, expert_of(value));
  } else if (kind == "buffer") {
    baton::checkpoint::save_buffer(path, buffer_of(value));
  } else if (kind == "text") {
    baton::base::write_file_atomically(path, std::to_string(value) + std::string(100'000, ' '));
  } else if (baton::run::RunFolder::exists(path)) {
    auto run = baton::run::RunFolder::load(path);
    run.record().config["value"] = std::to_string(value);
    run.save();
  } else {
    baton::run::RunRecord record;
    record.tasks = {"qa"};
    record.config["value"] = std::to_string(value);
    baton::run::RunFolder::create(path, record).save();
  }
}

std::int64_t read(const std::string& kind, const std::string& path) {
  if (kind == "expert") {
    const auto state = baton::checkpoint::load_expert(path);
    return state.arrays.at(0).values.at(39'999) == static_cast<float>(state.steps) ? state.steps
                                                                                   : -1;
  }
  if (kind == "buffer") {
    return baton::checkpoint::load_buffer(path).num_task_rows - 500;
  }
  if (kind == "text") {
    return std::stoll(baton::base::read_file(path, baton::base::ErrorKind::kModel));
  }
  return std::stoll(baton::run::RunFolder::load(path).record().config.at("value"));
}

// An expert file whose checksums are right and one of whose facts is not.
void spoil(const std::string& from, const std::string& to, const std::string& fact) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using State = baton::expert::ExpertState;
  const std::map<std::string, std::function<void(State&)>> changes = {
      {"nothing", [](State&) {}},
      {"task_other", [](State& state) { state.task = "nobody"; }},
      {"task_bytes", [](State& state) { state.task = "lo\xffud"; }},
      {"lora_rank", [](State& state) { state.lora_rank = 3; }},
      {"lora_alpha_nan", [](State& state) { state.lora_alpha = kNan; }},
      {"lora_alpha_0", [](State& state) { state.lora_alpha = 0; }},
      {"lora_alpha_large", [](State& state) { state.lora_alpha = 1e300; }},
      {"lora_activation", [](State& state) { state.lora_activation = "sometimes"; }},
      {"accept_token_id", [](State& state) { state.accept_token_id = 1'000'000; }},
      {"pass_token_id", [](State& state) { state.pass_token_id = -5; }},
      {"equal_tokens", [](State& state) { state.pass_token_id = state.accept_token_id; }},
      {"threshold_nan", [](State& state) { state.accept_threshold = kNan; }},
      {"threshold_infinite", [](State& state) { state.accept_threshold = 1 / 0.0; }},
      {"no_arrays", [](State& state) { state.arrays.clear(); }},
      {"nan_factor", [](State& state) { state.arrays[1].values[0] = static_cast<float>(kNan); }},
      {"shape", [](State& state) {  // of another base: all layers alike
         for (baton::expert::NamedArray& array : state.arrays) {
           if (array.name.ends_with("q_proj.lora_A.weight")) {
             array.shape[1] += 1;
             array.values.resize(static_cast<std::size_t>(array.shape[0] * array.shape[1]));
           }
         }
       }}};
  State state = baton::checkpoint::load_expert(from);
  changes.at(fact)(state);
  baton::checkpoint::save_expert(to, state);
}

int run(const std::vector<std::string>& words) {
  const std::string& mode = words.at(0);
  const auto size_at = [&](std::size_t i) {
    return words.size() > i ? static_cast<std::size_t>(std::stoull(words[i])) : std::size_t{2000};
  };
  if (mode == "save") {
    for (std::int64_t step = std::stoll(words.at(2)); step <= std::stoll(words.at(3)); ++step) {
      baton::checkpoint::save_generation(words.at(1), state_of(step, size_at(4)));
      std::cout << "saved " << step << std::endl;
    }
  } else if (mode == "loop") {
    loop(words.at(1), size_at(2));
  } else if (mode == "newest") {
    std::cout << newest(words.at(1), size_at(2)).dump() << std::endl;
  } else if (mode == "serve") {
    return serve(words.at(1), size_at(2));
  } else if (mode == "spoil") {
    spoil(words.at(1), words.at(2), words.at(3));
  } else if (mode == "write") {
    write(words.at(1), words.at(2), std::stoll(words.at(3)));
  } else {
    std::cout << Json{{"value", read(words.at(1), words.at(2))}}.dump() << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is an error of write (EFBIG)
  try {
    return run({argv + 1, argv + argc});
  } catch (const baton::base::Error& error) {
    std::cerr << error.what() << std::endl;
    return baton::base::exit_code(error.kind());
  }
}
