#include "baton/run/stale_files.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "baton/device/host.hpp"
#include "unit/checkpoint/checkpoint_fixture.hpp"

namespace baton::run {
namespace {

using namespace checkpoint;  // the fixture and its small files

namespace fs = std::filesystem;
using ::testing::UnorderedElementsAreArray;

class StaleFilesTest : public CheckpointTest {
 protected:
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      found.push_back(fs::relative(entry.path(), folder_).string());
    }
    return found;
  }
  void make(const std::string& name) {
    fs::create_directories((folder_ / name).parent_path());
    write_all(folder_ / name, "x");
  }
};

// The id of a process that has ended.
std::string gone_pid() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  return std::to_string(child);
}

TEST_F(StaleFilesTest, OnlyUnfinishedFilesOfTheDeadGo) {
  const std::string gone = gone_pid();
  const std::string own = std::to_string(::getpid());
  const std::string alive = std::to_string(::getppid());
  const std::vector<std::string> stale = {
      "run.json.tmp." + gone,
      "status.json.tmp." + own,
      "failure.json." + device::host_name() + "." + gone,
      "failure.json." + device::host_name() + "." + gone + ".tmp." + gone,
      "experts/01-qa.h5.tmp." + gone,
      "experts/replaced/01-qa.1.h5.tmp." + gone,
      "buffers/01-qa.h5.tmp." + gone,
      "eval/results.json.tmp." + gone,
      "checkpoints/01-qa/step-00000003.tmp." + gone + "/state.h5"};
  const std::vector<std::string> kept = {
      "run.json",
      "run.lock",
      "failure.json",
      "run.json.tmp." + alive,
      "failure.json." + device::host_name() + "." + alive,
      "failure.json.elsewhere." + gone,
      "run.json.tmp.",
      "run.json.tmp.12x",
      "run.json.tmp.0" + gone,
      ".tmp." + gone,
      "mine/notes.txt.tmp." + gone,
      "experts/01-qa.h5",
      "checkpoints/01-qa/notes.tmp." + gone,
      "checkpoints/01-qa/step-00000002/state.h5",
      "checkpoints/01-qa/step-00000004.tmp." + alive + "/state.h5"};
  for (const auto* group : {&kept, &stale}) {
    for (const std::string& name : *group) {
      make(name);
    }
  }
  fs::create_directory(folder_ / ("folder.tmp." + gone));
  fs::create_symlink("run.json", folder_ / ("link.tmp." + gone));
  std::vector<std::string> expected = names();
  std::erase_if(expected, [&](const std::string& name) {
    return name.starts_with("checkpoints/01-qa/step-00000003.tmp.") ||
           std::find(stale.begin(), stale.end(), name) != stale.end();
  });
  EXPECT_EQ(remove_stale_temporaries(folder_).size(), stale.size());
  EXPECT_THAT(names(), UnorderedElementsAreArray(expected));
  EXPECT_TRUE(remove_stale_temporaries(folder_).empty());
}

TEST_F(StaleFilesTest, FoldersBehindLinksAreLeftAlone) {
  const std::string name = "01-qa.h5.tmp." + gone_pid();
  make("elsewhere/" + name);
  fs::create_directory(folder_ / "run");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "run" / "experts");
  EXPECT_TRUE(remove_stale_temporaries(folder_ / "run").empty());
  EXPECT_TRUE(fs::exists(folder_ / "elsewhere" / name));
  // The run folder itself may be one.
  make("moved/run.json.tmp." + gone_pid());
  fs::create_directory_symlink(folder_ / "moved", folder_ / "link");
  EXPECT_EQ(remove_stale_temporaries(folder_ / "link").size(), 1U);
}

TEST_F(StaleFilesTest, NoFolderNothingToDo) {
  EXPECT_TRUE(remove_stale_temporaries(folder_ / "absent").empty());
}

}  // namespace
}  // namespace baton::run
