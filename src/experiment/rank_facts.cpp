#include "baton/experiment/rank_facts.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <tuple>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/base/utf8.hpp"
#include "baton/comm/share.hpp"
#include "baton/comm/versions.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/host.hpp"
#include "baton/experiment/versions.hpp"

namespace baton::experiment {

namespace {

// LibTorch and the libraries under it can be told by the environment to use less than the CPU has.
std::string kernels_in_use() {
  std::string text = "ATen " + at::get_cpu_capability();
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"}) {
    if (const char* value = std::getenv(name)) {
      text += fmt::format(", {}={}", name, base::to_valid_utf8(value));
    }
  }
  return text;
}

// Everything that makes two ranks unlike: the host does not.
std::string kind_of(const RankFacts& facts) {
  std::string text = facts.gpu.empty() ? "" : facts.gpu + "; ";
  text +=
      fmt::format("{}; {}; {} threads", facts.instruction_set, facts.kernels, facts.num_threads);
  for (const auto& [name, version] : facts.libraries) {
    text += fmt::format("; {} {}", name, version);
  }
  return text;
}

std::string ranks_text(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

std::vector<int> all_of(const std::vector<RankFacts>& ranks) {
  std::vector<int> all(ranks.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// The different values of a fact over some ranks, in their order.
std::vector<std::string> distinct(const std::vector<RankFacts>& ranks,
                                  const std::vector<int>& members,
                                  std::string RankFacts::*fact) {
  std::vector<std::string> values;
  for (const int member : members) {
    const std::string& value = ranks[static_cast<std::size_t>(member)].*fact;
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }
  return values;
}

std::vector<int> ranks_without_fast_bf16(const std::vector<RankFacts>& ranks) {
  std::vector<int> slow;
  for (const int rank : all_of(ranks)) {
    const RankFacts& facts = ranks[static_cast<std::size_t>(rank)];
    if (facts.gpu.empty() && !facts.has_fast_bf16()) {
      slow.push_back(rank);
    }
  }
  return slow;
}

}  // namespace

bool RankFacts::has_fast_bf16() const {
  return device::has_fast_bf16(instruction_set);
}

RankFacts facts_of_this_rank(const device::Device& device, const FaultInjection& faults) {
  RankFacts facts;
  facts.host = base::to_valid_utf8(device::host_name());
  facts.gpu = device.kind == device::DeviceKind::kCuda ? device.name : "";
  facts.instruction_set =
      faults.instruction_set().empty() ? device::instruction_set() : faults.instruction_set();
  facts.kernels = kernels_in_use();
  facts.num_threads = at::get_num_threads();
  facts.libraries = run::made_here().libraries;
  add_library_versions(facts.libraries);
  return facts;
}

std::vector<RankFacts> gather_rank_facts(comm::ProcessWorld& world, const RankFacts& mine) {
  return comm::from_all(world.everyone(), mine);
}

std::string describe_unlike_ranks(const std::vector<RankFacts>& ranks) {
  std::map<std::string, std::vector<int>> by_kind;
  for (const int rank : all_of(ranks)) {
    by_kind[kind_of(ranks[static_cast<std::size_t>(rank)])].push_back(rank);
  }
  if (by_kind.size() < 2) {
    return "";
  }
  std::vector<std::pair<std::vector<int>, std::string>> kinds;
  for (const auto& [kind, members] : by_kind) {
    kinds.emplace_back(members, kind);
  }
  std::sort(kinds.begin(), kinds.end());
  std::string text = "the ranks are not alike:";
  for (const auto& [members, kind] : kinds) {
    text += fmt::format("\n    {} on {}: {}", ranks_text(members),
                        base::join(distinct(ranks, members, &RankFacts::host), ", "), kind);
  }
  return text +
         "\n    equal bits are promised among ranks of one kind only: here the last bits of a "
         "result may depend on which rank computed it";
}

DtypeChoice choose_dtype(const std::string& asked,
                         const std::string& began,
                         const std::vector<RankFacts>& ranks) {
  const std::vector<int> slow = ranks_without_fast_bf16(ranks);
  if (!began.empty() && asked != "auto" && asked != began) {
    throw base::Error(base::ErrorKind::kUsage,
                      "this run computes in another type than the config asks for",
                      {.where = "key model.dtype",
                       .expected = began + ", in which the run began",
                       .found = asked,
                       .fix = fmt::format("set model.dtype to auto or {}, or choose another "
                                          "output.output_dir",
                                          began)});
  }
  if (!began.empty()) {
    const bool is_slow = began == "bfloat16" && !slow.empty();
    return {began, is_slow ? fmt::format("as the run began; slow on {}, whose CPU has no fast bf16 "
                                         "products",
                                         ranks_text(slow))
                           : "as the run began"};
  }
  if (asked != "auto") {
    return {asked, "as asked"};
  }
  if (slow.empty()) {
    const bool on_gpus = std::all_of(ranks.begin(), ranks.end(),
                                     [](const RankFacts& facts) { return !facts.gpu.empty(); });
    return {"bfloat16", on_gpus ? "auto: a GPU" : "auto: bf16 products are done in hardware here"};
  }
  if (slow.size() == ranks.size()) {
    return {"float32", "auto: no fast bf16 products on this CPU"};
  }
  return {"float32", fmt::format("auto: no fast bf16 products on the CPU of {}, and all ranks "
                                 "compute alike",
                                 ranks_text(slow))};
}

run::MadeBy made_by_ranks(const std::vector<RankFacts>& ranks, const std::vector<int>& members) {
  const RankFacts& leader = ranks.at(static_cast<std::size_t>(members.at(0)));
  run::MadeBy made;
  made.host = base::join(distinct(ranks, members, &RankFacts::host), ", ");
  made.time = device::utc_time();
  made.num_ranks = static_cast<std::int64_t>(members.size());
  made.threads_per_rank = leader.num_threads;
  made.instruction_set = base::join(distinct(ranks, members, &RankFacts::instruction_set), " | ");
  made.libraries = leader.libraries;
  return made;
}

}  // namespace baton::experiment
