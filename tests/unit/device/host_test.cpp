#include "baton/device/host.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace baton::device {
namespace {

TEST(Host, InstructionSetInFixedOrder) {
  EXPECT_EQ(
      instruction_set_of("processor : 0\nflags\t\t: fpu amx_bf16 avx2 avx512f_x fma\n", "x86_64"),
      "x86_64 avx2 fma amx_bf16");
  EXPECT_EQ(instruction_set_of("Features : fp asimd sve\n", "aarch64"), "aarch64 asimd sve");
  EXPECT_EQ(instruction_set_of("", "riscv64"), "riscv64");
  EXPECT_FALSE(host_name().empty());
  EXPECT_EQ(utc_time().size(), 20U);
  EXPECT_GT(process_start(::getpid()), 0U);
}

}  // namespace
}  // namespace baton::device
