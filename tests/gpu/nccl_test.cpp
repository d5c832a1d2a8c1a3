// The NCCL backend on a real GPU: the cases of the MPI tests that fit one process. Each has its
// twin on the CPU.

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/device/device.hpp"
#include "gpu_fixture.hpp"

namespace {

using namespace baton;

// The next two run everywhere: they show that the GPU code is in the build and answers without a
// GPU.
TEST(GpuBuild, GpuCodeIsCompiledInAndAnswers) {
  EXPECT_TRUE(device::cuda_compiled_in());
  EXPECT_EQ(device::num_gpus() == 0, !device::gpu_absence_reason().empty());
}

TEST(GpuBuild, TheVersionOfNcclIsKnown) {
  EXPECT_FALSE(comm::nccl_version_text().empty());
}

class Nccl : public baton::testing::GpuTest {
 protected:
  std::string obstacle() const override {
    return comm::nccl_compiled_in() ? device::gpu_absence_reason() : "NCCL is not compiled in";
  }

  void prepare() override {
    comm::NcclOptions options;
    options.device_index = device::choose_device(0).index;
    options.timeout_seconds = 60;
    options.first_timeout_seconds = 120;
    group_ = comm::make_nccl_communicator(comm::make_single_communicator(), options);
  }

  /// A copy of `values` in GPU memory, freed with the test.
  comm::FloatBuffer on_gpu(const std::vector<float>& values) {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, values.size() * sizeof(float)), cudaSuccess);
    owned_.push_back(data);
    EXPECT_EQ(
        cudaMemcpy(data, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice),
        cudaSuccess);
    return {static_cast<float*>(data), values.size(), true};
  }

  static std::vector<float> on_host(const comm::FloatBuffer& buffer) {
    std::vector<float> values(buffer.count);
    EXPECT_EQ(cudaMemcpy(values.data(), buffer.data, buffer.count * sizeof(float),
                         cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

  void TearDown() override {
    for (void* data : owned_) {
      cudaFree(data);
    }
  }

  std::unique_ptr<comm::Communicator> group_;
  std::vector<void*> owned_;
};

TEST_F(Nccl, OperationsOfAGroupOfOne) {
  EXPECT_STREQ(group_->backend(), "nccl");
  const std::vector<float> values{1, 2, 3, 4, 5};
  const comm::FloatBuffer buffer = on_gpu(values);
  group_->all_reduce_sum(buffer);
  group_->broadcast(buffer, 0);
  const comm::FloatBuffer received = on_gpu(std::vector<float>(5, -1));
  group_->all_gather(buffer, received);
  EXPECT_EQ(on_host(buffer), values);
  EXPECT_EQ(on_host(received), values);
  std::vector<float> host_values{7, 8};
  group_->all_reduce_sum({host_values.data(), host_values.size(), false});
  EXPECT_EQ(host_values, (std::vector<float>{7, 8}));
  group_->close();
  EXPECT_THROW(group_->all_reduce_sum(buffer), base::Error);
}

TEST_F(Nccl, SlicesOfAGroupOfOne) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const comm::FloatBuffer buffer = on_gpu(values);
  EXPECT_TRUE(group_->sums_in_background());
  for (const std::size_t begin : {4U, 2U, 0U}) {
    group_->start_all_reduce_sum({buffer.data + begin, 2, true});
  }
  group_->finish_started();
  group_->wait_for_started();
  EXPECT_EQ(on_host(buffer), values);
  group_->close();
}

TEST_F(Nccl, AbortDoesNotWait) {
  group_->abort("a test");
  EXPECT_THROW(group_->barrier(), base::Error);
}

}  // namespace
