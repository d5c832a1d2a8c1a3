#include "baton/coordinator/coordinator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "expected_time.hpp"
#include "group_choice.hpp"

namespace baton::coordinator {
namespace {

// How far behind the longest ready item a match for idle groups is looked for, a group.
constexpr std::size_t kItemsLookedAtPerGroup = 4;

}  // namespace

bool is_worth_retrying(base::ErrorKind kind) {
  return kind == base::ErrorKind::kCommunication || kind == base::ErrorKind::kStorage;
}

Coordinator::Coordinator(std::vector<WorkItem> items,
                         std::vector<int> num_ranks_of_group,
                         QueueOptions options)
    : options_(options), num_open_(items.size()), num_absent_(num_ranks_of_group.size()) {
  BATON_ASSERT(!num_ranks_of_group.empty(), std::string("a coordinator without groups"));
  BATON_ASSERT(options.max_attempts > 0, fmt::format("{} attempts", options.max_attempts));
  for (const int num_ranks : num_ranks_of_group) {
    BATON_ASSERT(num_ranks > 0, fmt::format("a group of {} ranks", num_ranks));
    groups_.push_back({num_ranks});
    groups_differ_ = groups_differ_ || num_ranks != num_ranks_of_group.front();
  }
  for (WorkItem& item : items) {
    BATON_ASSERT(std::isfinite(item.cost) && item.cost >= 0,
                 fmt::format("cost {} of {}", item.cost, item.name));
    items_.push_back({std::move(item)});
  }
  link_prerequisites();
}

void Coordinator::link_prerequisites() {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    std::vector<int>& after = items_[i].work.after;
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    for (const int needed : after) {
      BATON_ASSERT(
          needed >= 0 && std::cmp_less(needed, items_.size()),
          fmt::format("{} needs item {} of {}", items_[i].work.name, needed, items_.size()));
      entry_at(needed).dependants.push_back(static_cast<int>(i));
    }
    items_[i].num_awaited = after.size();
    if (after.empty()) {
      make_ready(static_cast<int>(i));
    }
  }
  // Taking away what can be done until nothing is left finds a circle.
  std::vector<std::size_t> awaited;
  std::vector<int> doable;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    awaited.push_back(items_[i].num_awaited);
    if (items_[i].num_awaited == 0) {
      doable.push_back(static_cast<int>(i));
    }
  }
  for (std::size_t d = 0; d < doable.size(); ++d) {
    for (const int dependant : entry_at(doable[d]).dependants) {
      if (--awaited[static_cast<std::size_t>(dependant)] == 0) {
        doable.push_back(dependant);
      }
    }
  }
  BATON_ASSERT(doable.size() == items_.size(),
               fmt::format("{} of {} items wait for one another in a circle",
                           items_.size() - doable.size(), items_.size()));
}

Coordinator::Group& Coordinator::group_at(int group) {
  return groups_[static_cast<std::size_t>(group)];
}

Coordinator::Entry& Coordinator::entry_at(int item) {
  return items_[static_cast<std::size_t>(item)];
}

ItemState Coordinator::state_of(int item) const {
  BATON_ASSERT(item >= 0 && std::cmp_less(item, items_.size()), fmt::format("item {}", item));
  return items_[static_cast<std::size_t>(item)].state;
}

std::vector<int> Coordinator::missing_items() const {
  std::vector<int> missing;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].state != ItemState::kDone) {
      missing.push_back(static_cast<int>(i));
    }
  }
  return missing;
}

// ---- messages

Actions Coordinator::on_message(int group, const ToCoordinator& message) {
  BATON_ASSERT(group >= 0 && std::cmp_less(group, groups_.size()),
               fmt::format("a message of group {} of {}", group, groups_.size()));
  Actions actions;
  std::visit([&](const auto& known) { receive(group, known, actions); }, message);
  if (!std::holds_alternative<Progress>(message)) {
    settle(actions);
  }
  return actions;
}

Actions Coordinator::on_stop() {
  Actions actions;
  stop_working_groups(actions);
  settle(actions);
  return actions;
}

std::string Coordinator::state_text(const Group& group) const {
  switch (group.state) {
    case GroupState::kAbsent:
      return "Ready: it has not said so yet";
    case GroupState::kIdle:
      return "no ending: it has no item";
    case GroupState::kLeft:
      return "nothing: it was told to leave";
    case GroupState::kWorking:
    case GroupState::kStopping:
      break;
  }
  return fmt::format("progress or an ending of item {} ({})", group.item,
                     items_[static_cast<std::size_t>(group.item)].work.name);
}

void Coordinator::does_not_fit(int group, const std::string& found) const {
  throw base::Error(base::ErrorKind::kCommunication,
                    "a worker's message does not fit what its group does",
                    {.where = fmt::format("group {}", group),
                     .expected = state_text(groups_[static_cast<std::size_t>(group)]),
                     .found = found,
                     .fix = "start all ranks with the same build of the program; if they are, this "
                            "is a bug of the program: please report it with this message"});
}

void Coordinator::check_has(int group, int item, const char* message) const {
  if (item < 0 || groups_[static_cast<std::size_t>(group)].item != item) {
    does_not_fit(group, fmt::format("{} of item {}", message, item));
  }
}

void Coordinator::receive(int group, const Ready& message, Actions& /*actions*/) {
  const Group& sender = group_at(group);
  if (sender.state != GroupState::kAbsent) {
    does_not_fit(group, "Ready");
  }
  if (message.num_ranks != sender.num_ranks) {
    does_not_fit(group, fmt::format("Ready with {} ranks, where {} were planned", message.num_ranks,
                                    sender.num_ranks));
  }
  --num_absent_;
  make_idle(group);
}

void Coordinator::receive(int group, const Progress& message, Actions& actions) {
  check_has(group, message.item, "Progress");
  actions.events.emplace_back(ItemProgress{group, message});
}

void Coordinator::receive(int group, const Finished& message, Actions& actions) {
  check_has(group, message.item, "Finished");
  now_ = std::max(now_, group_at(group).free_at);
  entry_at(message.item).state = ItemState::kDone;
  --num_open_;
  actions.events.emplace_back(ItemFinished{group, message.item, message.payload});
  for (const int dependant : entry_at(message.item).dependants) {
    Entry& entry = entry_at(dependant);
    if (--entry.num_awaited == 0 && entry.state == ItemState::kWaiting) {
      make_ready(dependant);
    }
  }
  make_idle(group);
}

void Coordinator::receive(int group, const Failed& message, Actions& actions) {
  check_has(group, message.item, "Failed");
  Entry& entry = entry_at(message.item);
  const bool again = is_worth_retrying(message.kind) && entry.num_attempts < options_.max_attempts;
  actions.events.emplace_back(
      ItemFailed{group, message.item, entry.num_attempts, message.kind, message.text, again});
  group_at(group).item = -1;
  if (again) {
    make_ready(message.item);
    // Idle groups come before the one that has just failed at it.
    assign_ready_items(actions);
  } else {
    entry.state = ItemState::kFailed;
    --num_open_;
    give_up_dependants(message.item, actions);
  }
  make_idle(group);
}

void Coordinator::receive(int group, const Stopped& message, Actions& actions) {
  Group& sender = group_at(group);
  if (sender.state == GroupState::kAbsent) {
    does_not_fit(group, "Stopped");
  }
  // -1 fits a group with an item too: it stopped before the item reached it.
  if (message.item != -1) {
    check_has(group, message.item, "Stopped");
  }
  if (sender.item >= 0) {
    Entry& entry = entry_at(sender.item);
    entry.num_attempts -= message.item == -1 ? 1 : 0;
    make_ready(sender.item);
    make_idle(group);
  }
  stop_working_groups(actions);
}

// ---- what follows from them

void Coordinator::make_ready(int item) {
  Entry& entry = entry_at(item);
  entry.state = ItemState::kReady;
  ready_.emplace(-entry.work.cost, item);
}

void Coordinator::give_up_dependants(int item, Actions& actions) {
  std::vector<int> missing{item};
  for (std::size_t m = 0; m < missing.size(); ++m) {
    for (const int dependant : entry_at(missing[m]).dependants) {
      Entry& entry = entry_at(dependant);
      if (entry.state == ItemState::kWaiting) {
        entry.state = ItemState::kGivenUp;
        --num_open_;
        actions.events.emplace_back(ItemGivenUp{dependant, missing[m]});
        missing.push_back(dependant);
      }
    }
  }
}

void Coordinator::make_idle(int group) {
  group_at(group).state = GroupState::kIdle;
  group_at(group).item = -1;
  idle_.insert(group);
}

void Coordinator::assign(int group, int item, Actions& actions) {
  Entry& entry = entry_at(item);
  ready_.erase({-entry.work.cost, item});
  idle_.erase(group);
  entry.state = ItemState::kRunning;
  ++entry.num_attempts;
  Group& taker = group_at(group);
  taker.state = GroupState::kWorking;
  taker.item = item;
  taker.free_at =
      now_ + expected_time(entry.work.cost, entry.work.max_useful_ranks, taker.num_ranks);
  actions.messages.push_back({group, Assign{item, entry.num_attempts}});
  actions.events.emplace_back(ItemStarted{group, item, entry.num_attempts});
}

void Coordinator::assign_ready_items(Actions& actions) {
  if (stopping_ || idle_.empty() || ready_.empty()) {
    return;
  }
  if (!groups_differ_) {
    while (!idle_.empty() && !ready_.empty()) {
      assign(*idle_.begin(), ready_.begin()->second, actions);
    }
    return;
  }
  if (num_absent_ > 0) {
    return;
  }
  std::vector<GroupTime> times;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    const bool is_idle = group.state == GroupState::kIdle;
    if (is_idle || group.item >= 0) {
      times.push_back({static_cast<int>(g), group.num_ranks,
                       is_idle ? now_ : std::max(now_, group.free_at), is_idle});
    }
  }
  std::vector<ItemCost> costs;
  for (const auto& [negative_cost, item] : ready_) {
    if (costs.size() == kItemsLookedAtPerGroup * groups_.size()) {
      break;
    }
    const WorkItem& work = entry_at(item).work;
    costs.push_back({item, work.cost, work.max_useful_ranks});
  }
  for (const auto& [group, item] : choose_groups(costs, times)) {
    assign(group, item, actions);
  }
}

void Coordinator::stop_working_groups(Actions& actions) {
  if (stopping_) {
    return;
  }
  stopping_ = true;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (groups_[g].state == GroupState::kWorking) {
      groups_[g].state = GroupState::kStopping;
      actions.messages.push_back({static_cast<int>(g), Stop{}});
    }
  }
}

void Coordinator::settle(Actions& actions) {
  assign_ready_items(actions);
  if (!stopping_ && num_open_ > 0) {
    return;
  }
  for (const int group : idle_) {
    group_at(group).state = GroupState::kLeft;
    ++num_left_;
    actions.messages.push_back({group, Leave{}});
    actions.events.emplace_back(GroupLeft{group});
  }
  idle_.clear();
}

}  // namespace baton::coordinator
