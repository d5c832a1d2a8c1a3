#include "baton/data/validation_rows.hpp"

#include <gmock/gmock.h>

#include <set>

#include "baton/base/error.hpp"

namespace baton::data {
namespace {

std::vector<Example> rows_of(std::size_t count) {
  std::vector<Example> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back({.id = std::to_string(i),
                    .conversation = {{"user", "question"}},
                    .references = {"answer"},
                    .origin = ""});
  }
  return rows;
}

std::vector<int> ids_of(const std::vector<Example>& rows) {
  std::vector<int> ids;
  for (const Example& row : rows) {
    ids.push_back(std::stoi(row.id));
  }
  return ids;
}

TEST(ValidationRows, AShareBelowOneAndANumberFromOneOn) {
  const auto of = [](double val_size, std::int64_t num_rows) {
    return ValidationSize{.val_size = val_size}.of(num_rows);
  };
  EXPECT_EQ(of(0, 100), 0);
  EXPECT_EQ(of(0.1, 100), 10);
  EXPECT_EQ(of(0.1, 24), 2);
  EXPECT_EQ(of(0.1, 25), 3);  // halves up
  EXPECT_EQ(of(0.01, 20), 1);
  EXPECT_EQ(of(1, 20), 1);
  EXPECT_EQ(of(12, 20), 12);
  EXPECT_EQ(of(0.5, 0), 0);
}

TEST(ValidationRows, EveryRowIsInOnePartInTheOrderOfTheFile) {
  const ValidationSplit split =
      split_validation("qa", rows_of(50), {.val_size = 0.2, .run_seed = 7});
  const std::vector<int> training = ids_of(split.training);
  const std::vector<int> validation = ids_of(split.validation);
  EXPECT_EQ(training.size(), 40U);
  EXPECT_EQ(validation.size(), 10U);
  EXPECT_TRUE(std::is_sorted(training.begin(), training.end()));
  EXPECT_TRUE(std::is_sorted(validation.begin(), validation.end()));
  std::set<int> all(training.begin(), training.end());
  all.insert(validation.begin(), validation.end());
  EXPECT_EQ(all.size(), 50U);
  EXPECT_NE(validation.back(), 9);  // not the first ten: files are often sorted
}

TEST(ValidationRows, SeedAndTaskDecide) {
  const auto drawn = [](const std::string& task, std::uint64_t seed) {
    return ids_of(
        split_validation(task, rows_of(50), {.val_size = 10, .run_seed = seed}).validation);
  };
  EXPECT_EQ(drawn("qa", 7), drawn("qa", 7));
  EXPECT_NE(drawn("qa", 7), drawn("qa", 8));
  EXPECT_NE(drawn("qa", 7), drawn("sum", 7));
}

TEST(ValidationRows, ATaskThatWouldHaveNoneLeftIsRefused) {
  for (const double val_size : {4.0, 5.0, 0.9}) {
    try {
      split_validation("qa", rows_of(4), {.val_size = val_size});
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kData);
      EXPECT_THAT(error.what(), testing::HasSubstr("task qa"));
      EXPECT_THAT(error.what(), testing::HasSubstr("of 4 train rows"));
    }
  }
}

}  // namespace
}  // namespace baton::data
