#pragma once
// What of the ranks' machines can change a result: instruction set, LibTorch's kernels, libraries,
// threads. Every rank brings its own and all get all, so that the world decides once what
// "dtype = auto" means, ranks that are not alike are named at start, and a file's record says whose
// machines made it.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "baton/comm/process_world.hpp"
#include "baton/device/device.hpp"
#include "baton/experiment/fault_injection.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

struct RankFacts {
  std::string host;
  std::string gpu;              // its name; "" on the CPU
  std::string instruction_set;  // of the CPU
  std::string kernels;          // what LibTorch makes of it: "ATen AVX512"
  std::int64_t num_threads = 0;
  std::map<std::string, std::string> libraries;

  /// bf16 matrix products are done in hardware here.
  bool has_fast_bf16() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("host", self.host);
    visit("gpu", self.gpu);
    visit("instruction_set", self.instruction_set);
    visit("kernels", self.kernels);
    visit("num_threads", self.num_threads);
    visit("libraries", self.libraries);
  }
};

/// Of this process, whose threads are set. A fault of the kind "cpu" replaces the instruction set.
RankFacts facts_of_this_rank(const device::Device& device, const FaultInjection& faults);

/// Collective: the facts of every rank, by world rank, on every rank.
std::vector<RankFacts> gather_rank_facts(comm::ProcessWorld& world, const RankFacts& mine);

/// "" when all ranks are alike; else which ranks are of which kind, and what that means for the
/// promise of equal bits.
std::string describe_unlike_ranks(const std::vector<RankFacts>& ranks);

/// The type in which the base computes, for a whole run.
struct DtypeChoice {
  std::string dtype;   // "float32" | "bfloat16"
  std::string reason;  // for the log
};

/// `asked` is model.dtype, `began` the type that the run began in ("" for a new run), which a run
/// keeps. For a new run "auto" is what every rank computes fast: the least able one decides. Another
/// type asked for than the run began in: kUsage.
DtypeChoice choose_dtype(const std::string& asked,
                         const std::string& began,
                         const std::vector<RankFacts>& ranks);

/// Who made a file: the ranks in `members` (world ranks, the leader first), now.
run::MadeBy made_by_ranks(const std::vector<RankFacts>& ranks, const std::vector<int>& members);

}  // namespace baton::experiment
