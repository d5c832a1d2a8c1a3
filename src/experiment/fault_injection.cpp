#include "baton/experiment/fault_injection.hpp"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <map>
#include <sstream>
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

std::map<std::string, std::string> read_fault(const std::string& text) {
  std::map<std::string, std::string> values;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      throw base::Error(
          base::ErrorKind::kUsage, "BATON_FAULT cannot be read",
          {.expected = "rank=R,step=S,kind=KIND", .found = text, .fix = "unset it, or correct it"});
    }
    values[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return values;
}

std::int64_t number(const std::map<std::string, std::string>& values,
                    const std::string& name,
                    std::int64_t fallback) {
  const auto place = values.find(name);
  return place == values.end() ? fallback : std::strtoll(place->second.c_str(), nullptr, 10);
}

}  // namespace

FaultInjection FaultInjection::from_environment(int world_rank) {
  FaultInjection injection;
  const char* text = std::getenv("BATON_FAULT");
  if (text == nullptr) {
    return injection;
  }
  for (const std::string& part : split(text, ';')) {
    const auto values = read_fault(part);
    if (number(values, "rank", 0) != world_rank) {
      continue;
    }
    if (values.contains("kind") && values.at("kind") == "cpu") {
      injection.instruction_set_ = values.contains("has") ? values.at("has") : "";
      continue;
    }
    Fault fault;
    fault.kind = values.contains("kind") ? values.at("kind") : "";
    fault.task = values.contains("task") ? values.at("task") : "";
    fault.step = number(values, "step", 1);
    fault.attempts = number(values, "attempt", fault.attempts);
    fault.calls = number(values, "calls", 0);
    fault.seconds = values.contains("seconds") ? std::strtod(values.at("seconds").c_str(), nullptr)
                                               : fault.seconds;
    injection.faults_.push_back(fault);
  }
  return injection;
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
    if (fault.kind == "pause" && step >= fault.step) {
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
