#pragma once
// What coordinator and workers say to each other. One worker is one group of ranks; its leader
// (group rank 0) speaks for it. As bytes: the protocol version, the kind of message, then its fields
// (base/wire.hpp). Used by the two state machines and the loop that moves the bytes; it knows
// neither MPI nor what the work is.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "baton/base/error.hpp"

namespace baton::coordinator {

inline constexpr std::uint8_t kProtocolVersion = 2;

// ---- worker to coordinator
/// The group has nothing to do. Sent once at its start; later the three endings below say so.
struct Ready {
  int num_ranks = 1;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("num_ranks", self.num_ranks);
  }
};
/// How far the item in hand is; for people, never for decisions.
struct Progress {
  int item = 0;
  std::int64_t step = 0;
  std::int64_t num_steps = 0;
  double loss = 0;
  double tokens_per_second = 0;
  std::optional<double> validation_loss = {};  // the newest

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
    visit("step", self.step);
    visit("num_steps", self.num_steps);
    visit("loss", self.loss);
    visit("tokens_per_second", self.tokens_per_second);
    visit("validation_loss", self.validation_loss);
  }
};
/// The item is done and its files are in place. `payload` is for the program, opaque here.
struct Finished {
  int item = 0;
  std::string payload;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
    visit("payload", self.payload);
  }
};
/// The item failed on this group, which is still whole.
struct Failed {
  int item = 0;
  base::ErrorKind kind = base::ErrorKind::kInternal;
  std::string text;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
    visit("kind", self.kind);
    visit("text", self.text);
  }
};
/// The group was asked to stop and has left the item with its state saved (item -1: it had none).
struct Stopped {
  int item = -1;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
  }
};

// ---- coordinator to worker
struct Assign {
  int item = 0;
  int attempt = 1;  // 1 for the first

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
    visit("attempt", self.attempt);
  }
};
/// Leave the item in hand as soon as its state is safe, then answer Stopped.
struct Stop {
  template <typename Self, typename Visit>
  static void fields(Self& /*self*/, Visit&& /*visit*/) {}
};
/// No more work will come: end.
struct Leave {
  template <typename Self, typename Visit>
  static void fields(Self& /*self*/, Visit&& /*visit*/) {}
};

using ToCoordinator = std::variant<Ready, Progress, Finished, Failed, Stopped>;
using ToWorker = std::variant<Assign, Stop, Leave>;

std::string to_bytes(const ToCoordinator& message);
std::string to_bytes(const ToWorker& message);

/// Bytes that are cut short, too long, of an unknown kind or of another version: kCommunication,
/// naming what was found (another version: both numbers, and that the ranks run different builds).
ToCoordinator to_coordinator_from(const std::string& bytes);
ToWorker to_worker_from(const std::string& bytes);

}  // namespace baton::coordinator
