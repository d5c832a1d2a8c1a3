#include "support/mpi_main.hpp"

#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "baton/base/log.hpp"

namespace baton::testing {
namespace {

comm::ProcessWorld* shared_world = nullptr;
MPI_Comm verdicts = MPI_COMM_NULL;  // of the tests alone, so that what is tested is not what judges

/// Highest of all ranks' values.
int highest(int value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MAX, verdicts);
  return value;
}

/// Exit code for a world that is not the one asked for; -1 when it is.
int wrong_world(const comm::ProcessWorld& world) {
  const char* text = std::getenv("BATON_TEST_RANKS");
  const char* required = std::getenv("BATON_REQUIRE_MPI");
  if (text == nullptr || comm::launch_facts().launcher == "none") {
    std::fprintf(stderr, "these tests run under mpirun with BATON_TEST_RANKS set; skipped\n");
    return required != nullptr && std::string(required) == "1" ? 1 : 77;
  }
  if (world.size() != std::atoi(text)) {
    std::fprintf(stderr, "expected %s ranks, found %d\n", text, world.size());
    return 1;
  }
  return -1;
}

}  // namespace

comm::ProcessWorld& world() {
  return *shared_world;
}

void MpiTest::SetUp() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const char* limit = std::getenv("BATON_TEST_LIMIT_S");
  watchdog_ = std::make_unique<Watchdog>(
      std::string(info->test_suite_name()) + "." + info->name(), world().rank(),
      std::chrono::seconds(limit != nullptr ? std::atoi(limit) : 60));
  ASSERT_GE(world().size(), min_ranks())
      << "this case needs more ranks; the filter should have left it out";
}

void MpiTest::TearDown() {
  const int failing_rank = highest(HasFailure() ? world().rank() + 1 : 0) - 1;
  if (failing_rank >= 0 && !HasFailure()) {
    ADD_FAILURE() << "failed on rank " << failing_rank;
  }
  watchdog_.reset();
}

}  // namespace baton::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  try {
    baton::comm::ProcessWorld world(&argc, &argv);
    baton::base::set_log_identity(world.rank(), world.size());
    baton::testing::shared_world = &world;
    if (const int code = baton::testing::wrong_world(world); code >= 0) {
      return code;
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &baton::testing::verdicts);
    if (world.rank() != 0) {  // one report; the others' failures are told by rank 0's and on stderr
      auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
      if (std::getenv("BATON_TEST_VERBOSE") == nullptr) {
        class FailuresOnly : public ::testing::EmptyTestEventListener {
          void OnTestPartResult(const ::testing::TestPartResult& result) override {
            if (result.failed()) {
              std::fprintf(stderr, "rank %d: %s:%d: %s\n", baton::testing::world().rank(),
                           result.file_name(), result.line_number(), result.message());
            }
          }
        };
        delete listeners.Release(listeners.default_result_printer());
        listeners.Append(new FailuresOnly);
      }
    }
    int failed = RUN_ALL_TESTS();
    if (::testing::UnitTest::GetInstance()->successful_test_count() == 0) {
      std::fprintf(stderr, "no test ran\n");
      failed = 1;
    }
    failed = baton::testing::highest(failed);
    MPI_Comm_free(&baton::testing::verdicts);
    world.close();
    return failed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
