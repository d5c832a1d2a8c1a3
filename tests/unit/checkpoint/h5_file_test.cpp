#include "baton/checkpoint/h5_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.hpp"

namespace baton::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class H5FileTest : public CheckpointTest {};

TEST_F(H5FileTest, EveryTypeComesBack) {
  const std::filesystem::path path = folder_ / "x.h5";
  {
    H5File first = H5File::create(path);
    H5File file = std::move(first);
    file.set_text("text", "\xc3\xa9t\xc3\xa9");
    file.set_text("empty", "");
    file.set_texts("texts", std::vector<std::string>{"a", "", "long one"});
    file.set_int("int", -5);
    file.set_ints("no_ints", {});
    file.set_unsigned("unsigned", ~std::uint64_t{0});
    file.set_real("real", 0.1);
    file.set_reals("reals", std::vector<double>{1, -2.5});
    file.make_group("state");
    file.write_floats("state/b", std::vector<float>{1, 2, 3, 4}, std::vector<std::int64_t>{2, 2});
    file.write_ints("state/a", std::vector<std::int64_t>{7, -8});
    file.write_bytes("bytes", std::string("a\0b", 3));
    file.write_bytes("nothing", "");
    file.close();
  }
  const H5File file = H5File::open(path);
  EXPECT_EQ(file.text("text"), "\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(file.text("empty"), "");
  EXPECT_THAT(file.texts("texts"), ElementsAre("a", "", "long one"));
  EXPECT_EQ(file.integer("int"), -5);
  EXPECT_THAT(file.integers("no_ints"), ElementsAre());
  EXPECT_EQ(file.unsigned_integer("unsigned"), ~std::uint64_t{0});
  EXPECT_EQ(file.real("real"), 0.1);
  EXPECT_THAT(file.reals("reals"), ElementsAre(1, -2.5));
  EXPECT_THAT(file.names_in("state"), ElementsAre("b", "a"));
  EXPECT_THAT(file.names_in(""), ElementsAre("bytes", "nothing", "state"));
  EXPECT_THAT(file.describe("state/b").shape, ElementsAre(2, 2));
  EXPECT_THAT(file.read_floats("state/b"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(file.read_ints("state/a"), ElementsAre(7, -8));
  EXPECT_EQ(file.read_bytes("bytes"), std::string("a\0b", 3));
  EXPECT_EQ(file.read_bytes("nothing"), "");
}

TEST_F(H5FileTest, WrongTypesAndMissingItemsAreNamed) {
  const std::filesystem::path path = folder_ / "x.h5";
  H5File made = H5File::create(path);
  made.set_int("int", 1);
  made.set_ints("two", std::vector<std::int64_t>{1, 2});
  made.write_ints("ints", std::vector<std::int64_t>{1});
  made.close();
  const H5File file = H5File::open(path);
  const auto check = [](const base::Error& error, const char* where, const char* expected,
                        const char* found) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    EXPECT_THAT(error.details().where, HasSubstr(where));
    EXPECT_THAT(error.details().expected, HasSubstr(expected));
    EXPECT_THAT(error.details().found, HasSubstr(found));
  };
  check(error_of([&] { file.real("int"); }), "attribute int", "floating-point", "64-bit integer");
  check(error_of([&] { file.text("int"); }), "attribute int", "text", "64-bit integer");
  check(error_of([&] { file.integer("none"); }), "attribute none", "attribute of this name",
        "none");
  check(error_of([&] { file.integer("two"); }), "attribute two", "one value", "2 values");
  check(error_of([&] { file.read_floats("ints"); }), "dataset ints", "32-bit floating",
        "64-bit integers");
  EXPECT_EQ(error_of([&] { file.read_floats("none"); }).kind(), base::ErrorKind::kModel);
  EXPECT_EQ(error_of([&] { file.names_in("none"); }).kind(), base::ErrorKind::kModel);
}

TEST_F(H5FileTest, UnwritableFolderIsAStorageError) {
  H5File file = H5File::create(folder_ / "none" / "x.h5");
  EXPECT_EQ(error_of([&] { file.close(); }).kind(), base::ErrorKind::kStorage);
}

TEST_F(H5FileTest, NothingIsOnDiskBeforeClose) {
  {
    H5File file = H5File::create(folder_ / "x.h5");
    file.write_bytes("bytes", std::string(3'000'000, 'x'));
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(H5FileTest, FilesMadeToHarmAreRefused) {
  if (!has_h5py()) {
    GTEST_SKIP() << "no Python with h5py; set BATON_PYTHON";
  }
  check_h5("hostile " + folder_.string());
  const auto found = [&](const char* name) {
    const base::Error error = error_of([&] { H5File::open(folder_ / name).read_floats("x"); });
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << name;
    return error.details().found;
  };
  EXPECT_EQ(found("external_storage.h5"), "external storage");
  EXPECT_EQ(found("external_link.h5"), "an external link");
  EXPECT_EQ(found("soft_link.h5"), "a soft link");
  EXPECT_THAT(found("huge_shape.h5"), HasSubstr("68719476736 declared elements"));
  EXPECT_THAT(found("gzip.h5"), ::testing::AnyOf(HasSubstr("layout"), HasSubstr("declared")));
  EXPECT_THAT(found("missing_chunks.h5"), HasSubstr("stored bytes"));
  EXPECT_THAT(found("double.h5"), HasSubstr("64-bit floating-point"));
  EXPECT_THAT(error_of([&] { H5File::open(folder_ / "double.h5").text("kind"); }).details().found,
              HasSubstr("variable length"));
  // At every level: HDF5 itself follows a link in the middle of a name.
  EXPECT_EQ(error_of([&] { H5File::open(folder_ / "external_group.h5"); }).details().found,
            "an external link");
  EXPECT_EQ(error_of([&] { H5File::open(folder_ / "soft_group.h5"); }).details().found,
            "a soft link");
  const base::Error inside = error_of([&] { H5File::open(folder_ / "link_inside.h5"); });
  EXPECT_EQ(inside.details().found, "an external link");
  EXPECT_THAT(inside.details().where, HasSubstr("a/b/c"));
}

}  // namespace
}  // namespace baton::checkpoint
