#include "baton/experiment/gate_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/gate_file.hpp"
#include "baton/comm/share.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/sampler.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/expert/gate_state.hpp"
#include "baton/train/trainer.hpp"

namespace baton::experiment {

namespace {

using expert::GateState;

constexpr double kWarmupRatio = 0.06;
constexpr double kMaxGradNorm = 1;

// `num_updates` updates, with as many passes over the rows as they take.
train::UpdateSource updates_of(std::int64_t num_rows, const GateState& facts) {
  const double a_pass =
      std::ceil(static_cast<double>(num_rows) / static_cast<double>(facts.train_batch_size));
  const data::Sampler sampler(num_rows, facts.train_batch_size, facts.micro_batch_size,
                              std::ceil(static_cast<double>(facts.steps) / a_pass), facts.seed);
  return {facts.steps, [sampler](std::int64_t step) { return sampler.update(step); }};
}

// The gates of one expert, by the ranks of a group.
class GateFit {
 public:
  GateFit(const GateJob& job, std::size_t index, comm::Communicator& group)
      : job_(job),
        index_(index),
        expert_(job.experts.states[index]),
        adapter_(job.experts.adapters[index]),
        group_(group),
        facts_(facts_wanted()) {
    adapter_.dropout = 0;  // it is frozen
  }

  model::Gates run() {
    std::vector<expert::NamedArray> arrays = model::arrays_of(model::zero_gates(adapter_));
    const bool is_there = comm::from_leader(group_, [&] { return read(arrays); });
    if (!is_there) {
      return learn();
    }
    for (expert::NamedArray& array : arrays) {
      group_.broadcast({array.values.data(), array.values.size(), false}, 0);
    }
    return model::gates_from_arrays(arrays, adapter_, path().string());
  }

  std::string digest() const {
    return comm::from_leader(group_, [&] { return base::sha256_file(path()); });
  }

 private:
  std::string file() const {
    return job_.folder.paths().gate_file(job_.folder.paths().position_of(expert_.task));
  }
  std::filesystem::path path() const { return job_.folder.path_of(file()); }

  GateState facts_wanted() const {
    const config::Config& config = job_.config;
    GateState facts;
    facts.task = expert_.task;
    facts.expert_sha256 = job_.experts.digests[index_];
    facts.dtype = job_.workspace.dtype;
    facts.train_batch_size = config.train.train_batch_size;
    facts.micro_batch_size = config.train.micro_batch_size;
    facts.steps = config.method.gate_steps;
    facts.learning_rate = config.method.gate_learning_rate;
    facts.seed = base::seed_for(config.train.seed, {"gates", expert_.task});
    return facts;
  }

  // How gates of a file are not those that are wanted.
  std::vector<std::string> differences(const GateState& found) const {
    std::vector<std::string> all;
    const auto compare = [&all](const char* name, const auto& wanted, const auto& there) {
      if (wanted != there) {
        all.push_back(fmt::format("{}: expected {}, found {}", name, wanted, there));
      }
    };
    compare("task", facts_.task, found.task);
    compare("expert_sha256", facts_.expert_sha256, found.expert_sha256);
    compare("dtype", facts_.dtype, found.dtype);
    compare("train_batch_size", facts_.train_batch_size, found.train_batch_size);
    compare("micro_batch_size", facts_.micro_batch_size, found.micro_batch_size);
    compare("gate_steps", facts_.steps, found.steps);
    compare("gate_learning_rate", facts_.learning_rate, found.learning_rate);
    compare("seed", facts_.seed, found.seed);
    return all;
  }

  // False where they must be learnt.
  bool read(std::vector<expert::NamedArray>& arrays) const {
    std::string found = "none";
    if (job_.folder.has(file())) {
      job_.folder.verify(file());
      GateState state = checkpoint::load_gates(path());
      const std::vector<std::string> others = differences(state);
      if (others.empty()) {
        model::gates_from_arrays(state.arrays, adapter_, path().string());
        arrays = std::move(state.arrays);
        return true;
      }
      found = "gates of another expert or other keys:\n    " + base::join(others, "\n    ");
      if (job_.may_write) {
        base::log_warning("router",
                          fmt::format("{} is learnt anew, for it has {}", path().string(), found));
      }
    }
    if (!job_.may_write) {
      throw base::Error(base::ErrorKind::kUsage, "the gates of an expert are not learnt yet",
                        {.where = path().string(),
                         .expected = "gates of this expert",
                         .found = found,
                         .fix = "run `baton eval --run " + job_.folder.root().string() +
                                " --set eval.routers=gates` once: it learns them"});
    }
    return false;
  }

  // What the expert learnt to answer: its own rows that were not held out of its training.
  std::vector<data::TrainingRow> read_rows() const {
    std::vector<data::Example> rows =
        data::Dataset(job_.config.data.dataset_dir)
            .read_train(expert_.task, job_.config.data.max_train_samples);
    const auto fact = expert_.identity.facts().find("task_rows");
    const std::string wanted = fact == expert_.identity.facts().end() ? "" : fact->second;
    if (const std::string now = data::rows_fingerprint(rows); now != wanted) {
      throw base::Error(base::ErrorKind::kData, "the train rows are not those of the expert",
                        {.where = "task " + expert_.task,
                         .expected = "rows " + wanted.substr(0, 12),
                         .found = "rows " + now.substr(0, 12),
                         .fix = "restore the task's files, or leave the router gates out"});
    }
    const data::RowEncoder encoder(*job_.workspace.tokenizer, *job_.workspace.prompt_template,
                                   job_.config.data.cutoff_len,
                                   job_.workspace.model->config().max_position_embeddings);
    ExpertRows texts;
    texts.task = expert_.task;
    texts.own.push_back({expert_.task, std::move(rows)});
    std::vector<data::TrainingRow> all =
        prepare_expert({job_.method, expert::indicators_of(expert_).value_or(expert::Indicators{}),
                        encoder, job_.config.data.cutoff_len, validation_size_of(job_.config)},
                       texts, {})
            .training;
    std::erase_if(
        all, [](const data::TrainingRow& row) { return row.role != data::RowRole::kPositive; });
    return all;
  }

  train::TrainerOptions options_for(std::int64_t num_rows) const {
    train::TrainerOptions options;
    options.updates = updates_of(num_rows, facts_);
    options.learning_rate = facts_.learning_rate;
    options.lr_scheduler_type = "linear";
    options.warmup_ratio = kWarmupRatio;
    options.max_grad_norm = kMaxGradNorm;
    // The indicator says who answers, which is the gates' own business: they learn from answers.
    options.opening_loss_weight = job_.method.uses_indicators() ? 0 : 1;
    options.seed = facts_.seed;
    options.gates = model::zero_gates(adapter_);
    options.deterministic = true;
    return options;
  }

  model::Gates learn() {
    const auto start = std::chrono::steady_clock::now();
    std::optional<train::Trainer> trainer;
    comm::together(group_, [&] {
      std::vector<data::TrainingRow> rows = read_rows();
      facts_.num_rows = static_cast<std::int64_t>(rows.size());
      train::TrainerOptions options = options_for(facts_.num_rows);
      options.before_slot = [&] {
        return job_.before_slot &&
               job_.before_slot(expert_.task, trainer ? trainer->learner().num_steps() : 0);
      };
      trainer.emplace(*job_.workspace.model, group_, std::move(rows), adapter_, options);
    });
    train(*trainer);
    comm::together(group_, [&] {
      if (group_.rank() == 0) {
        save(trainer->learner(),
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
    });
    return trainer->learner().gates();
  }

  void train(train::Trainer& trainer) const {
    while (!trainer.learner().done()) {
      try {
        trainer.train_step();
      } catch (const train::NonFiniteUpdate& error) {
        throw comm::GroupError(
            base::Error(base::ErrorKind::kNonFinite, "the gates of an expert cannot be learnt",
                        {.where = "expert " + expert_.task,
                         .expected = "finite losses and gradients",
                         .found = error.details().found,
                         .fix = "lower method.gate_learning_rate, or leave the router gates out"}));
      }
      if (trainer.stopped()) {
        throw comm::GroupError(
            base::Error(base::ErrorKind::kStopped, "asked to stop while gates were learnt",
                        {.where = "expert " + expert_.task,
                         .fix = "run the same command again: those that are finished are kept"}));
      }
    }
  }

  void save(const train::ExpertLearner& learner, double seconds) {
    facts_.first_loss = learner.first_loss();
    facts_.last_loss = learner.last_loss();
    facts_.arrays = model::arrays_of(learner.gates());
    checkpoint::save_gates(path(), facts_);
    job_.folder.record_file(file(), expert_.task, "", run::made_here());
    base::log_info("router", fmt::format("{}: gates learnt on {} rows in {} updates, loss {:.4f} "
                                         "to {:.4f}, {:.1f} s",
                                         expert_.task, facts_.num_rows, facts_.steps,
                                         facts_.first_loss, facts_.last_loss, seconds));
  }

  const GateJob& job_;
  std::size_t index_;
  const expert::ExpertState& expert_;
  model::Adapter adapter_;
  comm::Communicator& group_;
  GateState facts_;
};

}  // namespace

LearntGates make_gates(const GateJob& job, comm::Communicator& group) {
  LearntGates learnt;
  for (std::size_t expert = 0; expert < job.experts.states.size(); ++expert) {
    GateFit fit(job, expert, group);
    learnt.gates.push_back(fit.run());
    learnt.digests.push_back(fit.digest());
  }
  return learnt;
}

std::vector<eval::Ensemble> make_ensembles(const LoadedExperts& experts,
                                           const LearntGates& learnt,
                                           std::span<const std::vector<int>> sets,
                                           std::int64_t top_k) {
  std::vector<eval::Ensemble> ensembles;
  for (const std::vector<int>& members : sets) {
    eval::Ensemble ensemble{members, {}};
    std::vector<std::string> names;
    std::vector<model::Gates> gates;
    for (const int member : members) {
      const auto index = static_cast<std::size_t>(member);
      const eval::ChainExpert& expert = experts.chain[index];
      BATON_ASSERT(expert.adapters.uses.size() == 1, expert.name + " stands on others");
      names.push_back(expert.name);
      gates.push_back(learnt.gates[index]);
      ensemble.voice.adapters.uses.push_back(expert.adapters.uses.front());
      ensemble.voice.position = expert.position;
      ensemble.voice.indicators = expert.indicators;
    }
    ensemble.voice.name = base::join(names, " + ");
    ensemble.voice.adapters.weigher = model::make_top_gates(gates, top_k);
    ensembles.push_back(std::move(ensemble));
  }
  return ensembles;
}

}  // namespace baton::experiment
