// The same updates on a GPU and on the CPU: losses and gradient norms must be near, in fp32 within
// 1e-4 and in bf16 within 1e-2 of their size. A group of one, with and without NCCL; what two GPUs
// do together is not tested here.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstdio>

#include "baton/comm/nccl_communicator.hpp"
#include "gpu/gpu_fixture.hpp"
#include "unit/train/training_fixture.hpp"

namespace baton::test {
namespace {

/// What a run shows of each update.
struct Trace {
  std::vector<double> losses;
  std::vector<double> norms;
};

struct Setting {
  std::string golden;  // rows, batches and schedule of this stored run
  std::filesystem::path model;
  at::ScalarType dtype = at::kFloat;
  bool deterministic = false;
  double dropout = 0;
};

at::Device first_gpu() {
  return {at::kCUDA, static_cast<at::DeviceIndex>(device::choose_device(0).index)};
}

model::Adapter moved(model::Adapter adapter, const at::Device& device) {
  for (auto& layer : adapter.layers) {
    for (model::LoraFactors& factors : layer) {
      if (factors.a.defined()) {
        factors.a = factors.a.to(device);
        factors.b = factors.b.to(device);
      }
    }
  }
  return adapter;
}

Trace run(const Setting& setting, const at::Device& device, comm::Communicator& group) {
  const base::Json golden = read_training_golden(setting.golden);
  const auto model = model::Decoder::load(setting.model, setting.dtype, device);
  model::Adapter initial = read_adapter(
      golden_folder() / "training" / (setting.golden + ".initial.safetensors"),
      model->config().num_hidden_layers, golden.at("settings").at("lora_alpha").get<double>());
  initial.dropout = setting.dropout;
  train::TrainerOptions options = options_of(golden, 2);
  options.deterministic = setting.deterministic;
  train::Trainer trainer(*model, group, training_rows(golden), moved(initial, device), options);
  Trace trace;
  while (!trainer.learner().done() && trace.losses.size() < 5) {
    const train::StepRecord record = trainer.train_step().value();
    trace.losses.push_back(record.loss);
    trace.norms.push_back(record.gradient_norm);
  }
  return trace;
}

double largest_difference(const std::vector<double>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(found[i] - expected[i]) / std::abs(expected[i]));
  }
  return largest;
}

class GpuTraining : public testing::GpuTest {
 protected:
  std::string obstacle() const override {
    if (const std::string reason = device::gpu_absence_reason(); !reason.empty()) {
      return reason;
    }
    return at::hasCUDA() ? "" : "this LibTorch has no GPU code";
  }
  void prepare() override { at::set_num_threads(4); }

  static void expect_near(const Setting& setting, double limit) {
    const auto group = comm::make_single_communicator();
    const Trace cpu = run(setting, at::kCPU, *group);
    const Trace gpu = run(setting, first_gpu(), *group);
    const double loss = largest_difference(gpu.losses, cpu.losses);
    const double norm = largest_difference(gpu.norms, cpu.norms);
    std::printf("%s: largest relative difference of losses %.2e, of gradient norms %.2e\n",
                setting.golden.c_str(), loss, norm);
    EXPECT_LE(loss, limit);
    EXPECT_LE(norm, 10 * limit);
  }
};

TEST_F(GpuTraining, LossesAreThoseOfTheCpuInFp32) {
  for (const bool deterministic : {true, false}) {
    expect_near({"tiny-seven", tiny_folder("tiny-gqa-tied"), at::kFloat, deterministic, 0}, 1e-4);
    expect_near({"tiny-bias-qv", tiny_folder("tiny-bias"), at::kFloat, deterministic, 0}, 1e-4);
  }
}

TEST_F(GpuTraining, LossesAreThoseOfTheCpuInBf16) {
  expect_near({"tiny-seven", tiny_folder("tiny-gqa-tied"), at::kBFloat16, false, 0}, 1e-2);
}

TEST_F(GpuTraining, DropoutDrawsTheSameMasks) {
  expect_near({"tiny-seven", tiny_folder("tiny-gqa-tied"), at::kFloat, false, 0.1}, 1e-4);
}

TEST_F(GpuTraining, TheRealModelInBothTypes) {
  const auto folder = real_model_folder();
  if (!folder) {
    GTEST_SKIP() << "the model folder is not there: set BATON_MODEL_DIR or run the set-up script";
  }
  expect_near({"smollm2-qv", *folder, at::kFloat, false, 0}, 1e-4);
  expect_near({"smollm2-qv", *folder, at::kBFloat16, false, 0}, 1e-2);
}

TEST_F(GpuTraining, AGroupOfOneOverNcclChangesNothing) {
  if (!comm::nccl_compiled_in()) {
    GTEST_SKIP() << "NCCL is not compiled in";
  }
  const Setting setting{"tiny-seven", tiny_folder("tiny-gqa-tied"), at::kFloat, false, 0};
  const auto single = comm::make_single_communicator();
  const Trace alone = run(setting, first_gpu(), *single);
  comm::NcclOptions options;
  options.device_index = first_gpu().index();
  const auto group = comm::make_nccl_communicator(comm::make_single_communicator(), options);
  const Trace over_nccl = run(setting, first_gpu(), *group);
  group->close();
  EXPECT_LE(largest_difference(over_nccl.losses, alone.losses), 1e-6);
  EXPECT_LE(largest_difference(over_nccl.norms, alone.norms), 1e-6);
}

}  // namespace
}  // namespace baton::test
