#include "baton/device/device.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "baton/device/cpu_facts.hpp"
#include "baton/device/memory_facts.hpp"

namespace baton::device {
namespace {

using ::testing::HasSubstr;

class CgroupTest : public ::testing::Test {
 protected:
  CgroupTest() {
    std::string name = (std::filesystem::temp_directory_path() / "cgroupXXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~CgroupTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::filesystem::path root_;
};

TEST_F(CgroupTest, NoQuotaIsNothing) {
  EXPECT_FALSE(cgroup_cores(root_, "0::/a/b\n"));
  write("a/cpu.max", "max 100000\n");
  EXPECT_FALSE(cgroup_cores(root_, "0::/a/b\n"));
  EXPECT_FALSE(cgroup_cores(root_, "nonsense"));
}

TEST_F(CgroupTest, TheTightestEnclosingQuotaCounts) {
  write("a/cpu.max", "150000 100000\n");
  write("a/b/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_cores(root_, "0::/a/b\n").value(), 1.5);
}

TEST_F(CgroupTest, APathOfAnotherNamespaceFallsBackToTheRoot) {
  write("cpu.max", "200000 100000");
  EXPECT_DOUBLE_EQ(cgroup_cores(root_, "0::/docker/0123\n").value(), 2.0);
}

TEST_F(CgroupTest, VersionOne) {
  write("cpu/job/cpu.cfs_quota_us", "250000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(cgroup_cores(root_, "5:memory:/x\n4:cpu,cpuacct:/job\n").value(), 2.5);
}

TEST_F(CgroupTest, MemoryIsThatOfTheTightestEnclosingGroup) {
  write("memory.max", "8000\n");
  write("memory.current", "1000\n");
  write("job/memory.max", "3000\n");
  write("job/memory.current", "500\n");
  write("job/step/memory.max", "max\n");
  write("job/step/memory.current", "400\n");
  const CgroupMemory nested = cgroup_memory(root_, "0::/job/step\n");
  EXPECT_EQ(nested.limit_bytes, 3000U);
  EXPECT_EQ(nested.left_bytes, 2500U);
  const CgroupMemory hidden = cgroup_memory(root_, "0::/docker/0123\n");
  EXPECT_EQ(hidden.limit_bytes, 8000U);
  EXPECT_EQ(hidden.left_bytes, 7000U);
  EXPECT_FALSE(cgroup_memory(root_ / "none", "0::/\n").limit_bytes);
  EXPECT_FALSE(cgroup_memory(root_, "nonsense").left_bytes);
}

TEST_F(CgroupTest, MemoryOfVersionOne) {
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  write("memory/memory.usage_in_bytes", "5000\n");
  write("memory/job/memory.limit_in_bytes", "3000\n");
  write("memory/job/memory.usage_in_bytes", "4000\n");  // over its limit for a moment
  const CgroupMemory memory = cgroup_memory(root_, "5:cpu:/x\n4:hugetlb,memory:/job\n");
  EXPECT_EQ(memory.limit_bytes, 3000U);
  EXPECT_EQ(memory.left_bytes, 0U);
}

TEST(MemoryFacts, FreeIsAPartOfWhatIsUsable) {
  const MemoryFacts facts = memory_facts();
  EXPECT_GT(facts.free_bytes, 0U);
  EXPECT_LE(facts.free_bytes, facts.usable_bytes);
}

TEST(CpuFacts, UsableCoresFollowTheSchedulingMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  std::size_t first = 0;
  while (!CPU_ISSET(first, &before)) {
    ++first;
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(cpu_facts().affinity_cores, 1);
  EXPECT_EQ(usable_cores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(cpu_facts().affinity_cores, CPU_COUNT(&before));
  EXPECT_LE(usable_cores(), CPU_COUNT(&before));
}

TEST(CpuFacts, InstructionSetNames) {
  const auto short_set = [](const std::string& flags) {
    return short_instruction_set(cpu_extensions("processor : 0\nflags\t\t: " + flags + "\n"));
  };
  EXPECT_EQ(short_set("fpu sse2"), "generic");
  EXPECT_EQ(short_set("fpu avx2 fma"), "avx2");
  EXPECT_EQ(short_set("amx_bf16 avx512f avx2 avx512_bf16 amx_tile"),
            "avx2+avx512+avx512_bf16+amx_bf16");
  EXPECT_EQ(short_set("avx512fx avx22"), "generic");  // whole words only
  EXPECT_EQ(short_instruction_set(cpu_extensions("Features : fp asimd bf16\n")), "neon+neon_bf16");
  EXPECT_EQ(short_instruction_set(cpu_extensions("")), "generic");
}

TEST(CpuFacts, FastBf16MeansTheInstructionIsThere) {
  const std::string names = cpu_facts().instruction_set;
  EXPECT_EQ(has_fast_bf16(), names.find("bf16") != std::string::npos &&
                                 names.find("neon_bf16") == std::string::npos);
}

TEST(Device, TheCpuIsDescribed) {
  const Device device = cpu_device();
  EXPECT_EQ(device.kind, DeviceKind::kCpu);
  EXPECT_THAT(device.description, HasSubstr("usable cores"));
  EXPECT_THAT(device.description, HasSubstr(cpu_facts().instruction_set));
}

class DriverFolder : public ::testing::Test {
 protected:
  DriverFolder() { std::filesystem::create_directories(folder_); }
  ~DriverFolder() override { std::filesystem::remove_all(folder_); }

  std::string version_of(const std::string& text) {
    std::ofstream(folder_ / "version") << text;
    return driver_version(folder_);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / fmt::format("baton-driver-{}", ::getpid());
};

TEST_F(DriverFolder, StatesTheVersion) {
  EXPECT_EQ(driver_version(folder_ / "none"), "");
  EXPECT_EQ(version_of("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 "
                       "01:15:15 UTC 2023\nGCC version: gcc 12.2.0\n"),
            "535.104.05");
  EXPECT_EQ(version_of("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  "
                       "Release Build\n"),
            "580.65.06");
  EXPECT_EQ(version_of("GCC version: gcc 12.2.0\n"), "");
  EXPECT_EQ(version_of(""), "");
}

TEST(GpuAbsence, NoDriverIsNoGpuAndAnOldOneIsNamed) {
  GpuAbsence absence;
  absence.is_driver_missing = true;
  absence.cuda_error = "driver is insufficient";
  EXPECT_EQ(absence_text(absence), "no GPU");
  absence = {"535.104.05", false, true, "driver is insufficient", "13.0"};
  EXPECT_EQ(absence_text(absence),
            "no GPU: the driver is too old for CUDA 13.0 (NVIDIA driver 535.104.05)");
  absence = {"580.65.06", false, false, "", ""};
  EXPECT_EQ(absence_text(absence), "no GPU is visible to this process");
  absence.cuda_error = "no device";
  EXPECT_EQ(absence_text(absence), "no GPU: no device (NVIDIA driver 580.65.06)");
}

TEST(LibraryProblem, AGpuThatLibTorchDoesNotSeeIsRefused) {
  Device device;
  device.description = "GPU 0 of 1";
  EXPECT_FALSE(library_problem(device, false));
  device.kind = DeviceKind::kCuda;
  EXPECT_FALSE(library_problem(device, true));
  const auto problem = library_problem(device, false);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->kind(), base::ErrorKind::kUsage);
  EXPECT_THAT(problem->what(), HasSubstr("GPU 0 of 1"));
  EXPECT_THAT(problem->details().fix, HasSubstr("launch/quickstart.sh --gpu"));
  EXPECT_THAT(problem->details().fix, HasSubstr("CUDA_VISIBLE_DEVICES="));
}

TEST(Device, WithoutAGpuTheReasonIsSaid) {
  if (num_gpus() > 0) {
    EXPECT_EQ(choose_device(0).kind, DeviceKind::kCuda);
    EXPECT_EQ(gpu_absence_reason(), "");
    return;
  }
  const Device device = choose_device(3);
  EXPECT_EQ(device.kind, DeviceKind::kCpu);
  EXPECT_FALSE(gpu_absence_reason().empty());
  EXPECT_THAT(device.description, HasSubstr(gpu_absence_reason()));
}

}  // namespace
}  // namespace baton::device
