#include "baton/experiment/buffer_choice.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/eval/features.hpp"
#include "baton/experiment/identity.hpp"
#include "baton/work/stop_signal.hpp"
#include "shared_batches.hpp"

namespace baton::experiment {

namespace {

// Its own, and no key: the rows chosen must not change with how an evaluation is batched.
constexpr std::int64_t kBatchSize = 16;

void check_stop() {
  if (work::stop_requested()) {
    throw base::Error(base::ErrorKind::kStopped, "asked to stop while the buffers were chosen",
                      {.fix = "run the same command again"});
  }
}

class BufferChooser {
 public:
  BufferChooser(const BufferChoice& choice, comm::Communicator& group)
      : choice_(choice), group_(group), model_(*choice.workspace.model) {}

  void choose(std::size_t index) {
    const std::vector<eval::Prompt> prompts = comm::from_leader(group_, [&] {
      check_stop();
      return prompts_of(index);
    });
    if (prompts.empty()) {
      return;
    }
    const std::int64_t num_layers = eval::feature_layers(model_);
    const std::vector<std::vector<double>> features = share_by_batch<std::vector<double>>(
        prompts, kBatchSize, group_, [&](const std::vector<eval::Prompt>& batch) {
          if (leads()) {
            check_stop();
          }
          std::vector<std::vector<double>> made;
          for (const std::vector<float>& row : eval::prompt_features(model_, batch, num_layers)) {
            made.emplace_back(row.begin(), row.end());
          }
          return made;
        });
    comm::together(group_, [&] {
      if (leads()) {
        choice_.start->choose_buffer_by(features, index);
      }
    });
  }

 private:
  bool leads() const { return group_.rank() == 0; }

  std::vector<eval::Prompt> prompts_of(std::size_t index) const {
    const expert::Identity settings = common_identity(choice_.config, choice_.workspace);
    data::EncodingCounts counts;
    std::vector<eval::Prompt> prompts;
    for (const data::Example& row :
         choice_.start->rows_to_choose_from(index, settings.fingerprint())) {
      prompts.push_back(choice_.encoder.encode_prompt(row, counts));
    }
    if (!prompts.empty()) {
      base::log_info("train", fmt::format("{}: {} rows are read to choose its rehearsal buffer",
                                          choice_.config.data.tasks[index], prompts.size()));
    }
    return prompts;
  }

  const BufferChoice& choice_;
  comm::Communicator& group_;
  const model::Decoder& model_;
};

}  // namespace

void choose_buffers(const BufferChoice& choice, comm::Communicator& group) {
  if (choice.config.method.buffer_selection != "kmeans") {
    return;
  }
  BufferChooser chooser(choice, group);
  for (std::size_t index = 0; index < choice.config.data.tasks.size(); ++index) {
    chooser.choose(index);
  }
}

}  // namespace baton::experiment
