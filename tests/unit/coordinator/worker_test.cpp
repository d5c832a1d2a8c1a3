#include "baton/coordinator/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace baton::coordinator {
namespace {

using ::testing::HasSubstr;
using Order = Worker::Order;

std::string error_of(base::ErrorKind kind, const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::string unfit(Worker& worker, const ToWorker& message) {
  return error_of(base::ErrorKind::kCommunication, [&] { worker.on_message(message); });
}

// One worker in each of its states.
Worker fresh() {
  return Worker(4);
}
Worker waiting() {
  Worker worker(4);
  worker.start();
  return worker;
}
Worker working() {
  Worker worker = waiting();
  worker.on_message(Assign{5, 2});
  return worker;
}
Worker stopping() {
  Worker worker = working();
  worker.on_message(Stop{});
  return worker;
}
Worker stopped() {
  Worker worker = stopping();
  worker.stopped();
  return worker;
}
Worker gone() {
  Worker worker = waiting();
  worker.on_message(Leave{});
  return worker;
}

TEST(Worker, WorksThroughItemsAndLeaves) {
  Worker worker(4);
  EXPECT_EQ(std::get<Ready>(worker.start()).num_ranks, 4);
  EXPECT_FALSE(worker.works());
  EXPECT_EQ(worker.on_message(Assign{5, 2}), Order::kRun);
  EXPECT_TRUE(worker.works());
  EXPECT_EQ(worker.item(), 5);
  EXPECT_EQ(worker.attempt(), 2);
  const auto progress = std::get<Progress>(worker.progress(3, 10, 0.5, 100));
  EXPECT_EQ(progress.item, 5);
  EXPECT_EQ(progress.step, 3);
  EXPECT_EQ(progress.num_steps, 10);
  EXPECT_EQ(progress.loss, 0.5);
  EXPECT_EQ(progress.tokens_per_second, 100);
  const auto finished = std::get<Finished>(worker.finished("files"));
  EXPECT_EQ(finished.item, 5);
  EXPECT_EQ(finished.payload, "files");
  EXPECT_FALSE(worker.works());
  EXPECT_EQ(worker.on_message(Assign{0, 1}), Order::kRun);
  const auto failed = std::get<Failed>(worker.failed(base::ErrorKind::kData, "row 3"));
  EXPECT_EQ(failed.item, 0);
  EXPECT_EQ(failed.kind, base::ErrorKind::kData);
  EXPECT_EQ(failed.text, "row 3");
  EXPECT_EQ(worker.on_message(Leave{}), Order::kLeave);
}

TEST(Worker, StopsWhenTold) {
  Worker worker = working();
  EXPECT_FALSE(worker.told_to_stop());
  EXPECT_EQ(worker.on_message(Stop{}), Order::kStop);
  EXPECT_TRUE(worker.told_to_stop());
  EXPECT_EQ(worker.on_message(Stop{}), Order::kNone);  // told once is enough
  EXPECT_TRUE(worker.works());
  EXPECT_EQ(std::get<Stopped>(worker.stopped()).item, 5);
  EXPECT_TRUE(worker.has_stopped());
  EXPECT_EQ(worker.on_message(Leave{}), Order::kLeave);
}

TEST(Worker, MayEndItsItemAlthoughToldToStop) {
  Worker finished = stopping();
  EXPECT_EQ(std::get<Finished>(finished.finished("")).item, 5);
  EXPECT_EQ(finished.on_message(Leave{}), Order::kLeave);
  Worker failed = stopping();
  EXPECT_EQ(std::get<Failed>(failed.failed(base::ErrorKind::kStorage, "")).item, 5);
  EXPECT_EQ(failed.on_message(Leave{}), Order::kLeave);
}

TEST(Worker, StopsByItself) {
  Worker idle = waiting();
  EXPECT_EQ(std::get<Stopped>(idle.stopped()).item, -1);
  EXPECT_EQ(idle.on_message(Assign{3, 1}), Order::kNone);  // sent before the coordinator knew
  EXPECT_FALSE(idle.works());
  EXPECT_EQ(idle.on_message(Stop{}), Order::kNone);
  EXPECT_EQ(idle.on_message(Leave{}), Order::kLeave);

  Worker busy = working();
  EXPECT_EQ(std::get<Stopped>(busy.stopped()).item, 5);
  EXPECT_EQ(busy.on_message(Stop{}), Order::kNone);
  EXPECT_EQ(busy.on_message(Leave{}), Order::kLeave);
}

TEST(Worker, StopThatCrossedTheEndingIsNothingNew) {
  Worker worker = working();
  worker.finished("");
  EXPECT_EQ(worker.on_message(Stop{}), Order::kNone);
  EXPECT_EQ(worker.on_message(Leave{}), Order::kLeave);
}

TEST(Worker, EveryMessageInEveryStateThatDoesNotFitIsRefused) {
  for (const ToWorker& message : {ToWorker(Assign{1, 1}), ToWorker(Stop{}), ToWorker(Leave{})}) {
    Worker early = fresh();
    EXPECT_THAT(unfit(early, message), HasSubstr("has not said that it is ready"));
    Worker late = gone();
    EXPECT_THAT(unfit(late, message), HasSubstr("has left"));
  }
  Worker busy = working();
  EXPECT_THAT(unfit(busy, Assign{7, 1}), HasSubstr("Assign of item 7"));
  EXPECT_THAT(unfit(busy, Assign{7, 1}), HasSubstr("works on item 5"));
  EXPECT_THAT(unfit(busy, Leave{}), HasSubstr("works on item 5"));
  EXPECT_EQ(busy.item(), 5);  // a refused message changes nothing
  Worker told = stopping();
  EXPECT_THAT(unfit(told, Assign{7, 1}), HasSubstr("works on item 5"));
  EXPECT_THAT(unfit(told, Leave{}), HasSubstr("works on item 5"));
  Worker idle = waiting();
  EXPECT_THAT(unfit(idle, Assign{-1, 1}), HasSubstr("Assign of item -1"));
  EXPECT_THAT(unfit(idle, Assign{1, 0}), HasSubstr("attempt 0"));
  EXPECT_EQ(idle.on_message(Assign{1, 1}), Order::kRun);
  Worker ended = stopped();
  EXPECT_EQ(ended.on_message(Assign{1, 1}), Order::kNone);
}

TEST(Worker, OwnMistakesAreInternalErrors) {
  const auto internal = [](const std::function<void()>& action) {
    return error_of(base::ErrorKind::kInternal, action);
  };
  Worker idle = waiting();
  EXPECT_THAT(internal([&] { idle.finished(""); }), HasSubstr("waits for work"));
  EXPECT_THAT(internal([&] { idle.failed(base::ErrorKind::kData, ""); }), HasSubstr("waits"));
  EXPECT_THAT(internal([&] { static_cast<void>(idle.progress(1, 2, 3, 4)); }), HasSubstr("waits"));
  internal([&] { idle.start(); });
  Worker early = fresh();
  EXPECT_THAT(internal([&] { early.stopped(); }), HasSubstr("has not said"));
  Worker twice = stopped();
  EXPECT_THAT(internal([&] { twice.stopped(); }), HasSubstr("has stopped"));
  Worker late = gone();
  EXPECT_THAT(internal([&] { late.stopped(); }), HasSubstr("has left"));
  internal([] { Worker none(0); });
}

}  // namespace
}  // namespace baton::coordinator
