#pragma once
// Rank 0's part of a start of training, in three steps: read every row and buffer, find out which
// experts are missing and refuse what does not fit, and only then change the run folder. What is
// refused leaves the folder as it was; a first start that is refused leaves no run.json.

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/near_duplicates.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/row_meter.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

/// What expert `index` has to be made of.
using IdentityOf = std::function<expert::Identity(std::size_t index)>;

class RunStart {
 public:
  /// `replace`: the tasks whose experts are to be trained anew, or "all"; an unknown name is kUsage.
  /// A wish is done once: the same wish (an expert of the same identity) that was noted before goes
  /// on or is finished.
  RunStart(const config::Config& config,
           const method::Method& method,
           run::RunFolder& folder,
           const std::vector<std::string>& replace);

  /// Train rows among which a buffer has yet to be chosen by their features; none where the run has
  /// the one that these rows give under these settings (a digest), or where all are kept.
  std::vector<data::Example> rows_to_choose_from(std::size_t index, const std::string& settings);
  /// Of these rows, their features at hand.
  void choose_buffer_by(std::span<const std::vector<double>> features, std::size_t index);

  /// Reads the general rows, then every task and its buffer, one after the other; a buffer is made
  /// where the run has none. Of tasks only facts are kept, and new buffers until they are written. A
  /// task that has both expert and buffer may have lost its training files. Tasks that
  /// share nearly the same rows are named, in the log and in the run's record. kStopped between two
  /// tasks when asked to stop.
  RunFacts read_rows(const RowMeter& meter);

  /// Positions of the learners whose expert has to be trained. kUsage, listing each difference, when a
  /// finished expert or saved training state has another identity than the config asks for and is
  /// not to be replaced; kModel when an expert is damaged.
  std::vector<std::size_t> find_missing(const IdentityOf& identity_of);

  /// Notes and moves what is replaced, writes new buffers, saves run.json.
  void carry_out(const RunFacts& facts);

 private:
  struct Task {
    bool is_wished = false;  // named by --replace
    bool replaces_expert = false;
    bool replaces_buffer = false;
    std::optional<data::RehearsalBuffer>
        chosen_buffer;  // by features, in this run or an earlier one
    std::optional<data::RehearsalBuffer> new_buffer;
    bool drops_state = false;       // begun with other settings, or of an expert that is done
    std::string unrecorded_expert;  // its fingerprint: on disk but not in run.json
    std::string asked;              // fingerprint of the expert that the config asks for
  };
  struct Difference {
    std::size_t index = 0;
    std::string what;  // "its expert" or "its saved training state"
    std::vector<std::string> lines;
  };

  struct RowsToChooseFrom {
    std::vector<data::Example> rows;
    std::string origin;
  };

  const std::string& name_of(std::size_t index) const { return config_.data.tasks[index]; }
  using TrainRows = std::optional<std::vector<data::Example>>;  // nothing: the files are gone

  TaskFacts read_task(std::size_t index, const RowMeter& meter, data::NearDuplicateFinder& twins);
  void warn_of_twins(const std::vector<data::NearDuplicates>& found);
  void warn(const std::string& area, const std::string& text);
  TrainRows read_train_rows(std::size_t index);
  std::optional<data::RehearsalBuffer> choose_buffer(std::size_t index, const TrainRows& train);
  data::RehearsalBuffer keep_or_replace(std::size_t index, data::RehearsalBuffer made);
  data::RehearsalBuffer load_buffer(std::size_t index) const;
  bool is_finished(std::size_t index) const;
  bool is_missing(std::size_t index, const expert::Identity& identity);
  bool is_wish_done(std::size_t index, run::FileCondition condition) const;
  void check_expert(std::size_t index, const expert::Identity& identity, bool is_recorded);
  void check_state(std::size_t index, const expert::Identity& identity);
  [[noreturn]] void refuse() const;
  std::string replace_flags() const;

  const config::Config& config_;
  const method::Method& method_;
  std::vector<method::LearnerPlan> learners_;
  run::RunFolder& folder_;
  std::vector<Task> tasks_;
  RowsToChooseFrom to_choose_from_;  // of the task in hand
  std::vector<Difference> differences_;
};

}  // namespace baton::experiment
