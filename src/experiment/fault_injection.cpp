#include "baton/experiment/fault_injection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <map>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>

#include "baton/base/error.hpp"

namespace baton::experiment {

namespace {

std::vector<std::string> split(const std::string& text, char border) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, border);) {
    parts.push_back(part);
  }
  return parts;
}

std::string wish() {
  const char* text = std::getenv("BATON_FAULT");
  return text == nullptr ? "" : text;
}

constexpr std::array<std::string_view, 11> kKinds{"data",   "communication", "storage", "internal",
                                                  "nan",    "loop",          "skip",    "kill",
                                                  "signal", "pause",         "cpu"};
constexpr std::array<std::string_view, 9> kKeys{"rank",  "step",    "to",   "kind", "attempt",
                                                "calls", "seconds", "task", "has"};

std::string list_of(std::span<const std::string_view> names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

bool holds(std::span<const std::string_view> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw base::Error(
      base::ErrorKind::kUsage, "BATON_FAULT cannot be read",
      {.where = "the environment variable BATON_FAULT, which injects faults for tests",
       .expected = expected,
       .found = found,
       .fix = "unset it, or correct it"});
}

template <typename Number>
Number number_from(const std::string& key, const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || value < 0) {
    refuse("a number from 0 on for " + key, "\"" + text + "\"");
  }
  return value;
}

/// The parts of one fault by key; the kind is there and known.
std::map<std::string, std::string> read_fault(const std::string& text) {
  std::map<std::string, std::string> values;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      refuse("rank=R,step=S,kind=KIND", "\"" + text + "\"");
    }
    const std::string key = part.substr(0, equals);
    if (!holds(kKeys, key)) {
      refuse("a key of " + list_of(kKeys), "\"" + key + "\"");
    }
    values[key] = part.substr(equals + 1);
  }
  if (!values.contains("kind") || !holds(kKinds, values.at("kind"))) {
    refuse("a kind of " + list_of(kKinds),
           values.contains("kind") ? "\"" + values.at("kind") + "\"" : "none in \"" + text + "\"");
  }
  return values;
}

}  // namespace

FaultInjection FaultInjection::from_environment(int world_rank) {
  FaultInjection injection;
  for (const std::string& part : split(wish(), ';')) {
    std::map<std::string, std::string> values = read_fault(part);
    const auto number = [&values](const char* key, std::int64_t fallback) {
      return values.contains(key) ? number_from<std::int64_t>(key, values.at(key)) : fallback;
    };
    if (values.at("kind") == "cpu") {
      if (number("rank", 0) == world_rank) {
        injection.instruction_set_ = values["has"];
      }
      continue;
    }
    Fault fault;
    fault.kind = values.at("kind");
    fault.task = values["task"];
    fault.step = number("step", 1);
    fault.last_step = number("to", fault.last_step);
    fault.attempts = number("attempt", fault.attempts);
    fault.calls = number("calls", 0);
    if (values.contains("seconds")) {
      fault.seconds = number_from<double>("seconds", values.at("seconds"));
    }
    if (number("rank", 0) == world_rank) {
      injection.faults_.push_back(fault);
    }
  }
  return injection;
}

std::string FaultInjection::warning() {
  return wish().empty()
             ? ""
             : fmt::format(
                   "BATON_FAULT is set, so faults are injected on purpose: {}. It is for "
                   "tests; unset it for a run that counts",
                   wish());
}

bool FaultInjection::is_due(const Fault& fault,
                            const std::string& task,
                            int attempt,
                            std::int64_t step) const {
  if (fault.calls > 0) {
    return num_calls_ == fault.calls;
  }
  return (fault.task.empty() || fault.task == task) && step == fault.step &&
         attempt <= fault.attempts;
}

void FaultInjection::before_slot(const std::string& task,
                                 int attempt,
                                 std::int64_t step,
                                 comm::Communicator& group) const {
  ++num_calls_;
  for (const Fault& fault : faults_) {
    if (fault.kind == "pause" && step >= fault.step && step <= fault.last_step) {
      std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
    }
    if (!is_due(fault, task, attempt, step)) {
      continue;
    }
    if (fault.kind == "kill") {
      std::raise(SIGKILL);
    } else if (fault.kind == "signal") {
      std::raise(SIGUSR1);
    } else if (fault.kind == "loop") {
      for (;;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    } else if (fault.kind == "skip") {
      // The others wait for this rank in an operation that it has already taken part in once too
      // often.
      group.barrier();
    } else if (fault.kind == "data" || fault.kind == "communication" || fault.kind == "storage" ||
               fault.kind == "internal") {
      throw base::Error(base::kind_from_name(fault.kind),
                        "a fault that was asked for by BATON_FAULT",
                        {.where = fmt::format("expert {}, update {}", task, step)});
    }
  }
}

void FaultInjection::on_gradient(const std::string& task,
                                 std::int64_t step,
                                 comm::FloatBuffer gradient) const {
  for (const Fault& fault : faults_) {
    if (fault.kind == "nan" && fault.step == step && (fault.task.empty() || fault.task == task)) {
      gradient.data[0] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

}  // namespace baton::experiment
