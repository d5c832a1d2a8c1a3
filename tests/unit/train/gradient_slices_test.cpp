// Slices of one gradient that leave while the backward pass runs: their borders, their order, the
// same bits as one sum, and what happens when a rank or a sum fails in the middle.

#include "baton/train/gradient_slices.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>
#include <stdexcept>

#include "baton/comm/agree.hpp"
#include "training_fixture.hpp"

namespace baton::test {
namespace {

using ::testing::HasSubstr;
using train::GradientSlice;
using train::GradientSlices;
using train::slice_by_layers;

std::vector<std::pair<std::int64_t, std::int64_t>> cut(const std::vector<std::int64_t>& begins,
                                                       std::int64_t total,
                                                       int max_slices) {
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (const GradientSlice& slice : slice_by_layers(begins, total, max_slices)) {
    pairs.emplace_back(slice.begin, slice.count);
  }
  return pairs;
}

using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

TEST(SliceByLayers, EqualLayersLastOnesFirst) {
  EXPECT_EQ(cut({0, 10, 20, 30}, 41, 4), (Pairs{{30, 11}, {20, 10}, {10, 10}, {0, 10}}));
  EXPECT_EQ(cut({0, 10, 20, 30}, 41, 2), (Pairs{{20, 21}, {0, 20}}));
  EXPECT_EQ(cut({0, 10, 20, 30}, 41, 1), (Pairs{{0, 41}}));
  EXPECT_EQ(cut({0, 10}, 21, 4), (Pairs{{10, 11}, {0, 10}}));
}

TEST(SliceByLayers, UnequalAndEmptyLayers) {
  // Shares of 100 / 4 = 25: the large last layer is one; of the other 40, 40 / 3 is below 20.
  EXPECT_EQ(cut({0, 20, 40}, 100, 4), (Pairs{{40, 60}, {20, 20}, {0, 20}}));
  // Layers 1 and 3 have no factors.
  EXPECT_EQ(cut({0, 10, 10, 20}, 21, 4), (Pairs{{10, 11}, {0, 10}}));
  EXPECT_EQ(cut({0}, 7, 3), (Pairs{{0, 7}}));
  EXPECT_EQ(cut({}, 1, 3), (Pairs{{0, 1}}));
  EXPECT_EQ(cut({}, 0, 3), (Pairs{}));
}

TEST(SliceByLayers, CoverEverythingOnceForAnyShape) {
  base::Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::int64_t> begins;
    std::int64_t end = 0;
    for (std::uint64_t layer = random.below(40); layer > 0; --layer) {
      begins.push_back(end);
      end += static_cast<std::int64_t>(random.below(4) * random.below(1000));
    }
    const int limit = static_cast<int>(random.below(6)) + 1;
    const auto slices = slice_by_layers(begins, end + 1, limit);
    ASSERT_LE(slices.size(), static_cast<std::size_t>(limit));
    std::int64_t expected_end = end + 1;
    for (const GradientSlice& slice : slices) {
      ASSERT_GT(slice.count, 0);
      ASSERT_EQ(slice.begin + slice.count, expected_end);
      ASSERT_TRUE(slice.begin == 0 || std::count(begins.begin(), begins.end(), slice.begin) > 0);
      expected_end = slice.begin;
    }
    ASSERT_EQ(expected_end, 0);
  }
}

/// A group that says it sums in the background and notes what is asked of it.
class Background final : public comm::Communicator {
 public:
  explicit Background(comm::Communicator& inner) : inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const char* backend() const override { return "background"; }
  void all_reduce_sum(comm::FloatBuffer buffer) override {
    ++num_plain_sums;
    inner_.all_reduce_sum(buffer);
  }
  bool sums_in_background() const override { return true; }
  void start_all_reduce_sum(comm::FloatBuffer buffer) override {
    if (std::cmp_equal(started.size(), fails_at)) {
      throw base::Error(base::ErrorKind::kCommunication, "a sum could not start");
    }
    started.push_back(buffer);
    inner_.all_reduce_sum(buffer);
  }
  void finish_started() override { ++num_finished; }
  void wait_for_started() override { ++num_waits; }
  double all_reduce_sum(double value) override { return inner_.all_reduce_sum(value); }
  std::int64_t all_reduce_max(std::int64_t value) override { return inner_.all_reduce_max(value); }
  void broadcast(comm::FloatBuffer buffer, int root) override { inner_.broadcast(buffer, root); }
  void all_gather(comm::FloatBuffer mine, comm::FloatBuffer all) override {
    inner_.all_gather(mine, all);
  }
  std::vector<std::string> all_gather_bytes(const std::string& mine) override {
    return inner_.all_gather_bytes(mine);
  }
  std::string broadcast_bytes(const std::string& mine, int root) override {
    return inner_.broadcast_bytes(mine, root);
  }
  void barrier() override { inner_.barrier(); }
  void close() override { inner_.close(); }
  void abort(const std::string& reason) noexcept override { inner_.abort(reason); }

  std::vector<comm::FloatBuffer> started;
  int fails_at = -1;
  int num_plain_sums = 0;
  int num_finished = 0;
  int num_waits = 0;

 private:
  comm::Communicator& inner_;
};

constexpr std::int64_t kLayers = 5;
constexpr std::int64_t kWidth = 6;
constexpr std::int64_t kRank = 2;
constexpr std::int64_t kCount = kLayers * 2 * kWidth * kRank;

/// A chain of layers x := tanh(B (A x)) + x; its gradient is one flat buffer.
struct Chain {
  model::Adapter adapter;
  at::Tensor gradient = at::zeros({kCount + 1});
  std::function<void(std::int64_t)> layers_done;  // as a training pass tells it
  std::function<void()> in_middle;  // called in the backward pass, between layers 2 and 1

  Chain() {
    base::Random random(3);
    adapter.layers.resize(kLayers);
    std::int64_t begin = 0;
    for (auto& layer : adapter.layers) {
      for (const bool is_a : {true, false}) {
        at::Tensor& factor = is_a ? layer[0].a : layer[0].b;
        factor = is_a ? at::empty({kRank, kWidth}) : at::empty({kWidth, kRank});
        for (std::int64_t i = 0; i < factor.numel(); ++i) {
          factor.data_ptr<float>()[i] = static_cast<float>(random.uniform() - 0.5);
        }
        factor.set_requires_grad(true);
        factor.mutable_grad() = gradient.narrow(0, begin, factor.numel()).view(factor.sizes());
        begin += factor.numel();
      }
    }
  }

  /// Adds the gradient and the loss of row number `row`.
  void add_row(std::int64_t row) {
    at::Tensor x = at::linspace(-1.0, 1.0 + static_cast<double>(row), kWidth);
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      const model::LoraFactors& factors = adapter.layers[static_cast<std::size_t>(layer)][0];
      if (layers_done && layer > 0) {  // factors' gradients come before their input's
        x.register_hook([this, layer](const at::Tensor&) {
          layers_done(layer);
          if (layer == 2 && in_middle) {
            in_middle();
          }
        });
      }
      x = at::tanh(at::mv(factors.b, at::mv(factors.a, x))) + x;
    }
    const at::Tensor loss = x.square().sum();
    {
      const at::NoGradGuard frozen;
      gradient[kCount].add_(loss);
    }
    torch::autograd::backward({loss}, {});
    if (layers_done) {
      layers_done(0);
    }
  }

  std::vector<std::int64_t> layer_begins() const {
    std::vector<std::int64_t> begins;
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      begins.push_back(layer * 2 * kWidth * kRank);
    }
    return begins;
  }

  std::vector<float> values() const {
    return {gradient.data_ptr<float>(), gradient.data_ptr<float>() + gradient.numel()};
  }
};

void tell(Chain& chain, GradientSlices& slices) {
  chain.layers_done = [&slices](std::int64_t layer) { slices.layers_done(layer); };
}

/// The sum over ranks of rows rank, rank + size, ... below num_rows, by one plain sum.
std::vector<float> plain_sum(comm::Communicator& group, std::int64_t num_rows) {
  Chain chain;
  for (std::int64_t row = group.rank(); row < num_rows; row += group.size()) {
    chain.add_row(row);
  }
  if (group.size() > 1) {
    group.all_reduce_sum(comm::FloatBuffer{chain.gradient.data_ptr<float>(), kCount + 1, false});
  }
  return chain.values();
}

/// The same in slices; ranks whose last round has no row send without one.
void add_rows_in_slices(Chain& chain,
                        GradientSlices& slices,
                        comm::Communicator& group,
                        std::int64_t num_rows) {
  chain.gradient.zero_();
  for (std::int64_t first = 0; first < num_rows; first += group.size()) {
    const std::int64_t row = first + group.rank();
    if (row < num_rows) {
      if (first + group.size() >= num_rows) {
        slices.arm();
      }
      chain.add_row(row);
    }
  }
  slices.complete();
}

class GradientSlicesTest : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
  std::unique_ptr<comm::Communicator> single_ = comm::make_single_communicator();
};

TEST_F(GradientSlicesTest, OneRankGetsThePlainBits) {
  for (const std::int64_t num_rows : {1, 3}) {
    Chain chain;
    Background group(*single_);
    GradientSlices slices(group, chain.gradient, chain.layer_begins());
    tell(chain, slices);
    add_rows_in_slices(chain, slices, group, num_rows);
    EXPECT_EQ(chain.values(), plain_sum(*single_, num_rows));
    EXPECT_GT(chain.values()[0], 0.0F);
  }
}

TEST_F(GradientSlicesTest, EveryRankGetsThePlainSum) {
  for (const int size : {2, 3, 4}) {
    for (const std::int64_t num_rows :
         {1, 2, 5}) {  // some ranks without a row in the last round, or at all
      testing::run_ranks(size, [&](comm::Communicator& inner) {
        at::set_num_threads(1);
        const std::vector<float> expected = plain_sum(inner, num_rows);
        Background group(inner);
        Chain chain;
        GradientSlices slices(group, chain.gradient, chain.layer_begins());
        tell(chain, slices);
        for (int update = 0; update < 2; ++update) {
          add_rows_in_slices(chain, slices, group, num_rows);
          EXPECT_EQ(chain.values(), expected)
              << size << " ranks, " << num_rows << " rows, update " << update;
        }
        EXPECT_EQ(group.num_finished, 2);
        EXPECT_EQ(group.num_plain_sums, 0);
        EXPECT_EQ(group.num_waits, 0) << "the host does not wait";
      });
    }
  }
}

TEST_F(GradientSlicesTest, LeaveInOrderWhileTheBackwardPassRuns) {
  Chain chain;
  Background group(*single_);
  GradientSlices slices(group, chain.gradient, chain.layer_begins());
  tell(chain, slices);
  ASSERT_EQ(slices.slices().size(), 4U);
  std::vector<std::size_t> seen_in_middle;
  chain.in_middle = [&] { seen_in_middle.push_back(group.started.size()); };
  chain.add_row(0);  // not armed: nothing leaves
  EXPECT_TRUE(group.started.empty());
  slices.arm();
  chain.add_row(1);
  // In the middle layers 4, 3 and 2 were through: the slices of 4 and 3 at least had left, not the
  // last one.
  ASSERT_EQ(seen_in_middle.size(), 2U);
  EXPECT_EQ(seen_in_middle[0], 0U);
  EXPECT_GE(seen_in_middle[1], 2U);
  EXPECT_LT(seen_in_middle[1], 4U);
  EXPECT_EQ(group.started.size(), 4U);
  slices.complete();
  ASSERT_EQ(group.started.size(), 4U) << "nothing leaves twice";
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(group.started[i].data, chain.gradient.data_ptr<float>() + slices.slices()[i].begin);
    EXPECT_EQ(group.started[i].count, static_cast<std::size_t>(slices.slices()[i].count));
  }
  EXPECT_EQ(chain.values()[kCount], plain_sum(*single_, 2)[kCount])
      << "the loss leaves with the first slice";
}

TEST_F(GradientSlicesTest, WithoutABackgroundItIsOneMessage) {
  testing::run_ranks(2, [](comm::Communicator& group) {
    at::set_num_threads(1);
    const std::vector<float> expected = plain_sum(group, 3);
    Chain chain;
    GradientSlices slices(group, chain.gradient, chain.layer_begins());
    tell(chain, slices);
    add_rows_in_slices(chain, slices, group, 3);
    EXPECT_EQ(chain.values(), expected);
  });
}

TEST_F(GradientSlicesTest, ARankThatFailsInTheMiddleLeavesNobodyWaiting) {
  testing::run_ranks(3, [](comm::Communicator& inner) {
    at::set_num_threads(1);
    Background group(inner);
    Chain chain;
    GradientSlices slices(group, chain.gradient, chain.layer_begins());
    tell(chain, slices);
    bool fails = group.rank() == 1;
    chain.in_middle = [&] {
      if (fails) {
        throw std::runtime_error("a kernel failed");
      }
    };
    std::optional<base::Error> failure;
    try {
      slices.arm();
      chain.add_row(group.rank());
    } catch (...) {
      failure = base::current_error();
    }
    EXPECT_EQ(failure.has_value(), group.rank() == 1);
    slices.complete();
    EXPECT_EQ(group.started.size(), 4U);
    EXPECT_THROW(comm::agree(group, failure), comm::GroupError);
    // The group is whole: the next update is right.
    fails = false;
    add_rows_in_slices(chain, slices, group, 3);
    EXPECT_EQ(chain.values(), plain_sum(inner, 3));
  });
}

TEST_F(GradientSlicesTest, ASumThatCannotStartIsToldAtTheEnd) {
  Chain chain;
  Background group(*single_);
  group.fails_at = 1;
  GradientSlices slices(group, chain.gradient, chain.layer_begins());
  tell(chain, slices);
  slices.arm();
  EXPECT_NO_THROW(chain.add_row(0));
  try {
    slices.complete();
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a sum could not start"));
  }
  EXPECT_EQ(group.started.size(), 1U) << "nothing is sent after a failure";
  EXPECT_EQ(group.num_finished, 0);
}

// The trainer over a group that sums in the background: the same bits as over the plain one, step
// by step.
TEST_F(GradientSlicesTest, TheTrainerGetsTheSameBitsInSlices) {
  const base::Json golden = read_training_golden("tiny-seven");
  const auto model = load_tiny("tiny-gqa-tied");
  const model::Adapter adapter = fresh_adapter(*model);
  train::TrainerOptions options;
  options.train_batch_size = 7;
  options.micro_batch_size = 2;
  options.deterministic = false;
  for (const int size : {1, 2, 3}) {
    testing::run_ranks(size, [&](comm::Communicator& inner) {
      at::set_num_threads(1);
      const auto run = [&](comm::Communicator& group) {
        train::Trainer trainer(*model, group, training_rows(golden), adapter, options);
        std::vector<double> trace;
        while (!trainer.learner().done()) {
          const train::StepRecord record = trainer.train_step().value();
          trace.insert(trace.end(), {record.loss, record.gradient_norm});
        }
        for (const expert::NamedArray& array : arrays_of(trainer.learner().adapter())) {
          trace.insert(trace.end(), array.values.begin(), array.values.end());
        }
        return trace;
      };
      const std::vector<double> plain = run(inner);
      Background group(inner);
      EXPECT_EQ(run(group), plain) << size << " ranks";
      EXPECT_GT(group.started.size(), 0U);
      EXPECT_EQ(group.num_plain_sums, 0);
      EXPECT_GT(group.num_waits, 0) << "before the loss is read";
    });
  }
}

}  // namespace
}  // namespace baton::test
