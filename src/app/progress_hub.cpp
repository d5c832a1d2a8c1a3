#include "progress_hub.hpp"

#include <chrono>
#include <iostream>
#include <thread>
#include <utility>

#include "baton/base/json.hpp"

namespace baton::app {

namespace {

constexpr double kSecondsBetweenMessages = 0.5;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string to_bytes(const ProgressMessage& m) {
  const base::Json json = {static_cast<int>(m.kind), m.group, m.expert,  m.step,      m.total,
                           m.loss,                   m.tokens_per_second, m.seconds, m.threshold, m.num_ranks};
  return json.dump();
}

ProgressMessage from_bytes(const std::string& bytes) {
  const base::Json json = base::parse_json(bytes, base::ErrorKind::kInternal, "a progress message");
  ProgressMessage m;
  m.kind = static_cast<ProgressMessage::Kind>(json.at(0).get<int>());
  m.group = json.at(1).get<int>();
  m.expert = json.at(2).get<std::string>();
  m.step = json.at(3).get<std::int64_t>();
  m.total = json.at(4).get<std::int64_t>();
  m.loss = json.at(5).get<double>();
  m.tokens_per_second = json.at(6).get<double>();
  m.seconds = json.at(7).get<double>();
  m.threshold = json.at(8).get<double>();
  m.num_ranks = json.at(9).get<std::int64_t>();
  return m;
}

}  // namespace

ProgressHub::ProgressHub(comm::ProcessWorld& world,
                         std::int64_t total_steps,
                         std::function<void(const ProgressMessage&)> on_finished)
    : world_(world),
      on_finished_(std::move(on_finished)),
      terminal_(config::stderr_facts()),
      progress_(terminal_.is_terminal, std::cerr, terminal_.width) {
  progress_.set_total_steps(total_steps);
}

void ProgressHub::tell(const ProgressMessage& message) {
  if (world_.rank() == 0) {
    handle(message);
    return;
  }
  const bool is_step = message.kind == ProgressMessage::Kind::kStep;
  if (is_step && message.step < message.total && now_seconds() - last_sent_ < kSecondsBetweenMessages) {
    return;
  }
  last_sent_ = now_seconds();
  world_.send_control(0, to_bytes(message));
}

void ProgressHub::poll() {
  if (world_.rank() != 0) {
    return;
  }
  while (const auto message = world_.poll_control()) {
    handle(from_bytes(message->bytes));
  }
}

void ProgressHub::wait_for_groups(int num_groups) {
  poll();
  while (world_.rank() == 0 && groups_done_ < num_groups) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    poll();
  }
}

void ProgressHub::handle(const ProgressMessage& m) {
  switch (m.kind) {
    case ProgressMessage::Kind::kStep:
      progress_.update(m.group, m.expert, m.step, m.total, m.loss, m.tokens_per_second);
      break;
    case ProgressMessage::Kind::kFinished:
      progress_.finish(m.group, m.expert, m.seconds);
      progress_.clear();
      on_finished_(m);
      break;
    case ProgressMessage::Kind::kGroupDone:
      ++groups_done_;
      break;
  }
}

}  // namespace baton::app
