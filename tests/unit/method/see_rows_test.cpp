#include "baton/method/see_rows.hpp"
#include "baton/method/task_buffer.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "baton/base/error.hpp"

namespace baton::method {
namespace {

constexpr std::uint64_t kSeed = 42;

std::vector<data::Example> rows_of(const std::string& task, int num_rows) {
  std::vector<data::Example> rows;
  for (int i = 0; i < num_rows; ++i) {
    rows.push_back({.id = task + "-" + std::to_string(1000 + i),
                    .conversation = {{"user", "question " + std::to_string(i)}},
                    .references = {"answer"},
                    .origin = task + ".json line " + std::to_string(i + 1)});
  }
  return rows;
}

std::vector<std::string> ids_of(std::span<const data::SelectedRow> rows) {
  std::vector<std::string> ids;
  for (const data::SelectedRow& row : rows) {
    ids.push_back(row.example.id);
  }
  return ids;
}

std::vector<std::string> ids_of(std::span<const data::Example> rows) {
  std::vector<std::string> ids;
  for (const data::Example& row : rows) {
    ids.push_back(row.id);
  }
  return ids;
}

std::int64_t count_of(std::span<const data::SelectedRow> rows,
                      const std::string& task,
                      data::RowRole role) {
  return std::count_if(rows.begin(), rows.end(), [&](const data::SelectedRow& row) {
    return row.task == task && row.role == role;
  });
}

std::vector<data::RehearsalBuffer> buffers_of(const std::vector<std::string>& tasks,
                                              int num_rows,
                                              double ratio) {
  std::vector<data::RehearsalBuffer> buffers;
  for (const std::string& task : tasks) {
    buffers.push_back(make_buffer(task, rows_of(task, num_rows), {ratio}, kSeed));
  }
  return buffers;
}

TEST(MakeBuffer, SizeIsTheRoundedShareAtLeastOne) {
  EXPECT_EQ(make_buffer("a", rows_of("a", 10), {0.25}, kSeed).rows.size(), 3U);  // 2.5 rounds up
  EXPECT_EQ(make_buffer("a", rows_of("a", 200), {0.1}, kSeed).rows.size(), 20U);
  EXPECT_EQ(make_buffer("a", rows_of("a", 3), {0.01}, kSeed).rows.size(), 1U);
  EXPECT_EQ(make_buffer("a", rows_of("a", 3), {1}, kSeed).rows.size(), 3U);
  EXPECT_EQ(make_buffer("a", rows_of("a", 10), {0.25}, kSeed).num_task_rows, 10);
}

TEST(MakeBuffer, RowsAreDistinctInFileOrderAndTheSeedsOwn) {
  const std::vector<data::Example> rows = rows_of("a", 100);
  const std::vector<std::string> ids = ids_of(make_buffer("a", rows, {0.2}, kSeed).rows);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 20U);
  EXPECT_EQ(ids, ids_of(make_buffer("a", rows, {0.2}, kSeed).rows));
  EXPECT_NE(ids, ids_of(make_buffer("a", rows, {0.2}, kSeed + 1).rows));
  EXPECT_NE(ids, ids_of(make_buffer("b", rows, {0.2}, kSeed).rows));
}

TEST(MakeBuffer, EveryRowIsDrawnAboutEquallyOften) {
  const std::vector<data::Example> rows = rows_of("a", 10);
  std::map<std::string, int> times;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    for (const std::string& id : ids_of(make_buffer("a", rows, {0.3}, seed).rows)) {
      ++times[id];
    }
  }
  ASSERT_EQ(times.size(), 10U);
  for (const auto& [id, count] : times) {
    EXPECT_NEAR(count, 600, 100) << id;  // binomial, standard deviation 20.5
  }
}

TEST(MakeBuffer, FingerprintCoversWhatLaterExpertsSee) {
  const data::RehearsalBuffer buffer = make_buffer("a", rows_of("a", 20), {0.5}, kSeed);
  const auto changed = [&](auto change) {
    data::RehearsalBuffer other = buffer;
    change(other);
    return other.fingerprint() != buffer.fingerprint();
  };
  EXPECT_EQ(buffer.fingerprint().size(), 64U);
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.task = "b"; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { ++b.num_task_rows; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.ratio = 0.51; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { ++b.seed; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.selection = "first"; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.rows.pop_back(); }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.rows[0].id += "x"; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.rows[0].conversation[0].text += "x"; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.rows[0].conversation[0].role = "system"; }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { b.rows[0].references.push_back("x"); }));
  EXPECT_TRUE(changed([](data::RehearsalBuffer& b) { std::swap(b.rows[0], b.rows[1]); }));
  EXPECT_FALSE(changed([](data::RehearsalBuffer& b) { b.rows[0].origin = "moved.json line 9"; }));
}

TEST(MakeBuffer, RefusesBadRatiosAndNoRows) {
  EXPECT_THROW(make_buffer("a", rows_of("a", 3), {0}, kSeed), base::Error);
  EXPECT_THROW(make_buffer("a", rows_of("a", 3), {1.1}, kSeed), base::Error);
  EXPECT_THROW(make_buffer("a", rows_of("a", 3), {0.0 / 0.0}, kSeed), base::Error);
  EXPECT_THROW(make_buffer("a", {}, {0.5}, kSeed), base::Error);
}

// What a later expert holds out of a buffer is kept on top of what it learns.
TEST(MakeBuffer, HeldOutRowsCostNoNegatives) {
  for (const int num_rows : {20, 40, 100, 240, 1000, 2000}) {
    for (const std::int64_t floor : {0, 64}) {
      const ReconstructionOptions options{.negative_ratio = 0.25,
                                          .negative_floor = floor / 2,
                                          .calibration_ratio = 0.1,
                                          .run_seed = kSeed};
      const BufferSize size{.ratio = 0.25, .floor = floor, .later = options};
      const std::vector<data::RehearsalBuffer> buffers{
          make_buffer("a", rows_of("a", num_rows), size, kSeed)};
      const Reconstruction result = reconstruct("b", rows_of("b", 100), buffers, {}, options);
      EXPECT_TRUE(result.warnings.empty()) << num_rows << ": " << result.warnings.front();
      EXPECT_GE(result.num_negative, num_rows / 4) << num_rows;
      EXPECT_GT(count_of(result.held_out, "a", data::RowRole::kRehearsal), 0) << num_rows;
      const std::size_t without = num_buffer_rows({0.25, floor}, rows_of("a", num_rows).size());
      const auto num_held_out =
          static_cast<std::size_t>(count_of(result.held_out, "a", data::RowRole::kRehearsal));
      EXPECT_LE(buffers[0].rows.size(), without + num_held_out) << num_rows;
    }
  }
  const BufferSize size{
      .ratio = 0.25,
      .floor = 64,
      .later = ReconstructionOptions{
          .negative_ratio = 0.25, .negative_floor = 32, .calibration_ratio = 0.1}};
  EXPECT_EQ(num_buffer_rows(size, 40), 40U);
  EXPECT_EQ(num_buffer_rows(size, 100), 64U);    // 16 of 64 held out, 32 learnt
  EXPECT_EQ(num_buffer_rows(size, 2000), 556U);  // 56 held out, 500 learnt
}

// A third of the rows asks something else: it keeps its share, whatever the seed.
TEST(MakeBuffer, ClustersKeepTheirShare) {
  const std::vector<data::Example> rows = rows_of("a", 90);
  std::vector<std::vector<double>> features;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double kind = i % 3 == 0 ? 100.0 : 0.0;
    features.push_back({kind + static_cast<double>(i % 7), static_cast<double>(i % 5)});
  }
  const BufferSize size{.ratio = 0.5, .by_clusters = true};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const data::RehearsalBuffer buffer = make_buffer("a", rows, size, seed, features);
    ASSERT_EQ(buffer.rows.size(), 45U);
    EXPECT_EQ(buffer.selection, "kmeans");
    const std::vector<std::string> ids = ids_of(buffer.rows);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    const auto num_odd = std::count_if(ids.begin(), ids.end(), [](const std::string& id) {
      return std::stoi(id.substr(2)) % 3 == 1;  // row 0 is a-1000
    });
    EXPECT_NEAR(static_cast<double>(num_odd), 15, 3) << seed;
    EXPECT_EQ(buffer.fingerprint(), make_buffer("a", rows, size, seed, features).fingerprint());
  }
  EXPECT_TRUE(chooses_by_features(size, 90));
  EXPECT_FALSE(chooses_by_features({.ratio = 0.5}, 90));
  EXPECT_FALSE(chooses_by_features({.ratio = 0.5, .floor = 90, .by_clusters = true}, 90));
  EXPECT_EQ(make_buffer("a", rows, size, 1).rows.size(), 45U);  // a plan has no features
}

TEST(Reconstruct, CountsByHand) {
  // tau = 0.1 of the 100 rows of each earlier task, buffers of 20.
  const Reconstruction result =
      reconstruct("c", rows_of("c", 50), buffers_of({"a", "b"}, 100, 0.2), rows_of("g", 7),
                  {.negative_ratio = 0.1, .run_seed = kSeed});
  EXPECT_EQ(result.num_positive, 50);
  EXPECT_EQ(result.num_negative, 27);
  EXPECT_EQ(result.training.size(), 77U);
  EXPECT_EQ(count_of(result.training, "c", data::RowRole::kPositive), 50);
  EXPECT_EQ(count_of(result.training, "a", data::RowRole::kRehearsal), 10);
  EXPECT_EQ(count_of(result.training, "b", data::RowRole::kRehearsal), 10);
  EXPECT_EQ(count_of(result.training, "", data::RowRole::kGeneral), 7);
  EXPECT_TRUE(result.held_out.empty());
  EXPECT_TRUE(result.warnings.empty());
}

TEST(Reconstruct, OrderIsPositivesThenTasksByNameThenGeneral) {
  const std::vector<data::Example> own = rows_of("c", 5);
  const Reconstruction result =
      reconstruct("c", own, buffers_of({"b", "a"}, 20, 0.5), rows_of("g", 2),
                  {.negative_ratio = 0.1, .run_seed = kSeed});
  const std::vector<std::string> ids = ids_of(result.training);
  EXPECT_EQ(std::vector<std::string>(ids.begin(), ids.begin() + 5), ids_of(own));
  std::vector<std::string> tasks;
  for (const data::SelectedRow& row : result.training) {
    if (tasks.empty() || tasks.back() != row.task) {
      tasks.push_back(row.task);
    }
  }
  EXPECT_THAT(tasks, testing::ElementsAre("c", "a", "b", ""));
}

TEST(Reconstruct, SmallBufferGivesAllItHasAndAWarning) {
  const Reconstruction result = reconstruct("b", rows_of("b", 10), buffers_of({"a"}, 100, 0.05), {},
                                            {.negative_ratio = 0.25, .run_seed = kSeed});
  EXPECT_EQ(count_of(result.training, "a", data::RowRole::kRehearsal), 5);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_THAT(result.warnings[0],
              testing::HasSubstr("buffer of a gives 5 negatives where negative_ratio asks for 25"));
}

TEST(Reconstruct, FirstExpertWithoutGeneralRowsIsWarnedAbout) {
  const Reconstruction result = reconstruct("a", rows_of("a", 10), {}, {}, {.run_seed = kSeed});
  EXPECT_EQ(result.num_negative, 0);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_THAT(result.warnings[0], testing::HasSubstr("no negatives"));
}

TEST(Reconstruct, ZeroTauDrawsNoRehearsal) {
  const Reconstruction result =
      reconstruct("b", rows_of("b", 10), buffers_of({"a"}, 100, 0.2), rows_of("g", 3),
                  {.negative_ratio = 0, .run_seed = kSeed});
  EXPECT_EQ(result.num_negative, 3);
}

TEST(Reconstruct, HeldOutRowsAreApartAndOfTheRightSize) {
  // 10 % of 84 = 8.4 -> 8; of a buffer of 20 -> 2; of 16 general rows = 1.6 -> 2; of 3 rows
  // nothing.
  std::vector<data::RehearsalBuffer> buffers = buffers_of({"a", "b"}, 100, 0.2);
  buffers.push_back(make_buffer("tiny", rows_of("tiny", 3), {1}, kSeed));
  const std::vector<data::Example> own = rows_of("c", 84);
  const std::vector<data::Example> general = rows_of("g", 16);
  const Reconstruction result =
      reconstruct("c", own, buffers, general,
                  {.negative_ratio = 1, .calibration_ratio = 0.1, .run_seed = kSeed});
  EXPECT_FALSE(result.cross_fits);
  EXPECT_EQ(count_of(result.held_out, "c", data::RowRole::kPositive), 8);
  EXPECT_EQ(count_of(result.held_out, "a", data::RowRole::kRehearsal), 2);
  EXPECT_EQ(count_of(result.held_out, "b", data::RowRole::kRehearsal), 2);
  EXPECT_EQ(count_of(result.held_out, "tiny", data::RowRole::kRehearsal), 0);
  EXPECT_EQ(count_of(result.held_out, "", data::RowRole::kGeneral), 2);
  EXPECT_EQ(result.num_positive, 76);
  EXPECT_EQ(count_of(result.training, "a", data::RowRole::kRehearsal),
            18);  // tau 1 asks for all that is left
  EXPECT_EQ(count_of(result.training, "", data::RowRole::kGeneral), 14);
  const std::vector<std::string> training = ids_of(result.training);
  const std::vector<std::string> held_out = ids_of(result.held_out);
  std::set<std::string> both(training.begin(), training.end());
  both.insert(held_out.begin(), held_out.end());
  EXPECT_EQ(both.size(), training.size() + held_out.size());
  EXPECT_EQ(both.size(), 84U + 20 + 20 + 3 + 16);
}

// Rows that training does not need cost nothing to hold out.
TEST(Reconstruct, HoldsOutWhatTrainingLeavesOver) {
  const Reconstruction result =
      reconstruct("b", rows_of("b", 100), buffers_of({"a"}, 100, 0.6), rows_of("g", 40),
                  {.negative_ratio = 0.25,
                   .negative_floor = 32,
                   .general_samples = 24,
                   .calibration_ratio = 0.1,
                   .run_seed = kSeed});
  EXPECT_EQ(count_of(result.training, "a", data::RowRole::kRehearsal), 32);
  EXPECT_EQ(count_of(result.held_out, "a", data::RowRole::kRehearsal), 16);  // of the 28 left over
  EXPECT_EQ(count_of(result.training, "", data::RowRole::kGeneral), 24);
  EXPECT_EQ(count_of(result.held_out, "", data::RowRole::kGeneral), 16);
}

TEST(Reconstruct, TooFewOwnRowsToHoldOutCrossFit) {
  const auto made = [](int num_rows, double ratio) {
    return reconstruct("a", rows_of("a", num_rows), {}, rows_of("g", 20),
                       {.general_samples = 12, .calibration_ratio = ratio, .run_seed = kSeed});
  };
  const Reconstruction few = made(20, 0.1);
  EXPECT_TRUE(few.cross_fits);
  EXPECT_EQ(few.num_positive, 20);
  EXPECT_EQ(count_of(few.held_out, "a", data::RowRole::kPositive), 0);
  EXPECT_EQ(count_of(few.held_out, "", data::RowRole::kGeneral), 8);
  EXPECT_FALSE(made(75, 0.1).cross_fits);  // 7.5 rounds up to eight
  EXPECT_TRUE(made(74, 0.1).cross_fits);
  EXPECT_FALSE(made(16, 0.5).cross_fits);
  EXPECT_FALSE(made(3, 0.1).cross_fits);  // too few even for that
  EXPECT_FALSE(made(20, 0).cross_fits);   // a fixed threshold
}

// Each half of a cross-fit sees rows of every kind, drawn at random: files are often sorted.
TEST(Reconstruct, FoldsAreRandomHalvesOfEveryList) {
  const Reconstruction result = reconstruct(
      "b", rows_of("b", 20), buffers_of({"a"}, 20, 1), rows_of("g", 31),
      {.negative_ratio = 1, .general_samples = 20, .calibration_ratio = 0.1, .run_seed = kSeed});
  std::map<std::string, std::vector<int>> folds;
  for (const data::SelectedRow& row : result.training) {
    folds[row.task].push_back(row.fold);
  }
  for (const auto& [task, list] : folds) {
    ASSERT_EQ(list.size(), task == "a" ? 18U : 20U) << task;  // two of a's are held out
    EXPECT_EQ(std::count(list.begin(), list.end(), 1), std::ssize(list) / 2) << task;
    EXPECT_GT(std::count(list.begin(), list.begin() + 9, 1), 0) << task;
    EXPECT_LT(std::count(list.begin(), list.begin() + 9, 1), 9) << task;
  }
  EXPECT_EQ(folds.size(), 3U);
  EXPECT_NE(folds["a"], folds["b"]);
}

TEST(Reconstruct, FloorsKeepSmallTasksWhole) {
  EXPECT_EQ(make_buffer("a", rows_of("a", 20), {0.25, 64}, kSeed).rows.size(), 20U);
  EXPECT_EQ(make_buffer("a", rows_of("a", 100), {0.25, 64}, kSeed).rows.size(), 64U);
  EXPECT_EQ(make_buffer("a", rows_of("a", 1000), {0.25, 64}, kSeed).rows.size(), 250U);
  const auto negatives = [](int num_rows) {
    const std::vector<data::RehearsalBuffer> buffers{
        make_buffer("a", rows_of("a", num_rows), {0.25, 64}, kSeed)};
    const Reconstruction result =
        reconstruct("b", rows_of("b", 9), buffers, {},
                    {.negative_ratio = 0.25, .negative_floor = 32, .run_seed = kSeed});
    EXPECT_TRUE(result.warnings.empty()) << num_rows;  // a floor that cannot be met is no fault
    return result.num_negative;
  };
  EXPECT_EQ(negatives(20), 20);
  EXPECT_EQ(negatives(100), 32);
  EXPECT_EQ(negatives(1000), 250);
}

TEST(Reconstruct, DrawsOfOneListDoNotDependOnTheOthers) {
  const ReconstructionOptions options{
      .negative_ratio = 0.1, .calibration_ratio = 0.1, .run_seed = kSeed};
  const std::vector<data::RehearsalBuffer> all = buffers_of({"a", "b", "c"}, 100, 0.2);
  const std::vector<data::RehearsalBuffer> some{all[2]};
  const auto rows_from_c = [&](std::span<const data::RehearsalBuffer> buffers,
                               std::span<const data::Example> general) {
    const Reconstruction result = reconstruct("d", rows_of("d", 30), buffers, general, options);
    std::vector<std::string> ids;
    for (const auto* rows : {&result.training, &result.held_out}) {
      for (const data::SelectedRow& row : *rows) {
        if (row.task == "c" || row.task == "d") {
          ids.push_back(row.example.id);
        }
      }
    }
    return ids;
  };
  EXPECT_EQ(rows_from_c(all, {}), rows_from_c(some, rows_of("g", 20)));
}

// Appending tasks must not change the training sets of earlier experts, nor their buffers.
TEST(Reconstruct, LaterTasksChangeNothing) {
  const std::vector<std::string> order{"qa", "sa", "sum", "para", "pos"};
  const ReconstructionOptions options{
      .negative_ratio = 0.2, .calibration_ratio = 0.1, .run_seed = kSeed};
  const auto run = [&](std::size_t num_tasks) {
    std::vector<std::vector<std::string>> sets;
    std::vector<data::RehearsalBuffer> buffers;
    for (std::size_t k = 0; k < num_tasks; ++k) {
      const std::vector<data::Example> rows = rows_of(order[k], 40 + 7 * static_cast<int>(k));
      const Reconstruction result = reconstruct(order[k], rows, buffers, rows_of("g", 9), options);
      sets.push_back(ids_of(result.training));
      sets.push_back(ids_of(result.held_out));
      buffers.push_back(make_buffer(order[k], rows, {0.3}, kSeed));
      sets.push_back({buffers.back().fingerprint()});
    }
    return sets;
  };
  const auto full = run(order.size());
  for (std::size_t num_tasks = 1; num_tasks < order.size(); ++num_tasks) {
    const auto shorter = run(num_tasks);
    EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), full.begin())) << num_tasks;
  }
}

TEST(Reconstruct, SeedAndExpertChangeTheDraw) {
  const std::vector<data::RehearsalBuffer> buffers = buffers_of({"a"}, 200, 0.5);
  const auto negatives = [&](const std::string& task, std::uint64_t seed) {
    return ids_of(
        reconstruct(task, rows_of("x", 1), buffers, {}, {.negative_ratio = 0.1, .run_seed = seed})
            .training);
  };
  EXPECT_EQ(negatives("b", 1), negatives("b", 1));
  EXPECT_NE(negatives("b", 1), negatives("b", 2));
  EXPECT_NE(negatives("b", 1), negatives("c", 1));
}

TEST(Reconstruct, RefusesBadRatios) {
  EXPECT_THROW(reconstruct("a", rows_of("a", 5), {}, {}, {.negative_ratio = -0.1}), base::Error);
  EXPECT_THROW(reconstruct("a", rows_of("a", 5), {}, {}, {.calibration_ratio = 1}), base::Error);
  EXPECT_THROW(reconstruct("a", rows_of("a", 5), {}, {}, {.calibration_ratio = -1}), base::Error);
}

TEST(ChooseGeneral, SampleInFileOrder) {
  const std::vector<data::Example> rows = rows_of("g", 50);
  const std::vector<std::string> ids = ids_of(choose_general(rows, 10, kSeed));
  EXPECT_EQ(ids.size(), 10U);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 10U);
  EXPECT_NE(ids, ids_of(choose_general(rows, 10, kSeed + 1)));
  EXPECT_EQ(choose_general(rows, 0, kSeed).size(), 50U);
  EXPECT_EQ(ids_of(choose_general(rows, 99, kSeed)), ids_of(rows));
  EXPECT_TRUE(choose_general({}, 5, kSeed).empty());
}

TEST(Reconstruct, MismatchesAreAShareOfTheOwnRows) {
  ReconstructionOptions options{.negative_ratio = 0, .run_seed = kSeed};
  options.mismatch_ratio = 0.5;
  const Reconstruction result = reconstruct("c", rows_of("c", 40), {}, {}, options);
  EXPECT_EQ(result.num_positive, 40);
  EXPECT_EQ(result.num_negative, 20);
  EXPECT_TRUE(result.warnings.empty());  // the first expert has something to tell its task from
  EXPECT_EQ(count_of(result.training, "mismatches", data::RowRole::kMismatch), 20);
  options.calibration_ratio = 0.2;
  const Reconstruction held_out = reconstruct("c", rows_of("c", 40), {}, {}, options);
  EXPECT_EQ(count_of(held_out.training, "mismatches", data::RowRole::kMismatch), 16);
  EXPECT_EQ(count_of(held_out.held_out, "mismatches", data::RowRole::kMismatch), 4);
}

TEST(Reconstruct, RowsWithoutACommonInstructionHaveNoMismatches) {
  std::vector<data::Example> rows = rows_of("c", 40);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].conversation.back().text = std::to_string(i) + " apples" + std::to_string(i);
  }
  const Reconstruction result =
      reconstruct("c", rows, {}, rows_of("g", 3), {.mismatch_ratio = 0.5, .run_seed = kSeed});
  EXPECT_EQ(result.num_negative, 3);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_THAT(result.warnings[0], testing::HasSubstr("no instruction in common"));
}

}  // namespace
}  // namespace baton::method
