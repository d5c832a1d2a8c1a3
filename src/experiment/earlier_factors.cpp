#include "earlier_factors.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/comm/agree.hpp"

namespace baton::experiment {

namespace {

void take_over(const expert::ExpertState& earlier,
               const std::string& file,
               std::vector<expert::NamedArray>& arrays) {
  bool fits = earlier.arrays.size() == arrays.size();
  for (std::size_t i = 0; fits && i < arrays.size(); ++i) {
    fits = earlier.arrays[i].name == arrays[i].name && earlier.arrays[i].shape == arrays[i].shape;
  }
  if (!fits) {
    throw base::Error(
        base::ErrorKind::kModel, "an earlier expert has other factors",
        {.where = file,
         .expected = fmt::format("{} arrays of this run's rank and linears", arrays.size()),
         .found = fmt::format("{} arrays, rank {}", earlier.arrays.size(), earlier.lora_rank),
         .fix = "train it anew: `baton train --replace " + earlier.task + "`"});
  }
  arrays = earlier.arrays;
}

}  // namespace

void read_factors(const run::RunPaths& paths,
                  std::size_t position,
                  comm::Communicator& group,
                  std::vector<expert::NamedArray>& arrays) {
  comm::together(group, [&] {
    if (group.rank() == 0) {
      const std::filesystem::path file = paths.path_of(paths.expert_file(position));
      take_over(checkpoint::load_expert(file, {.task = paths.tasks()[position]}), file.string(),
                arrays);
    }
  });
  for (expert::NamedArray& array : arrays) {
    group.broadcast({array.values.data(), array.values.size(), false}, 0);
  }
}

}  // namespace baton::experiment
