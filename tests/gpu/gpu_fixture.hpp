#pragma once
// Tests that need a GPU: without one they are skipped and say why; BATON_REQUIRE_GPU=1 makes that a
// failure.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "baton/device/device.hpp"

namespace baton::testing {

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = obstacle();
    if (!reason.empty()) {
      const char* required = std::getenv("BATON_REQUIRE_GPU");
      ASSERT_FALSE(required != nullptr && std::string(required) == "1") << reason;
      GTEST_SKIP() << "skipped: " << (reason.starts_with("no GPU") ? "" : "no GPU: ") << reason;
    }
    prepare();
  }

  /// Why this test cannot run; empty when it can.
  virtual std::string obstacle() const { return device::gpu_absence_reason(); }
  virtual void prepare() {}
};

}  // namespace baton::testing
