#include "cli/data/data_commands.h"

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/open_dataset.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kGrocery = ARCSHARD_SOURCE_DIR "/examples/grocery/data";

// Runs the commands without the program; their output goes to the test's.
class DataCommandsTest : public ::testing::Test {
 protected:
  absl::StatusOr<int> Run(std::vector<std::string> arguments) {
    CommandLineParser parser("arcshard", "", "");
    DataCommands data(parser.root());
    arguments.insert(arguments.begin(), "data");
    RETURN_IF_ERROR(parser.Parse(std::move(arguments)).status());
    EXPECT_TRUE(data.given());
    return data.Run();
  }
  static bool IsUsageError(std::vector<std::string> arguments) {
    CommandLineParser parser("arcshard", "", "");
    const DataCommands data(parser.root());
    arguments.insert(arguments.begin(), "data");
    return absl::IsInvalidArgument(parser.Parse(std::move(arguments)).status());
  }
  std::string ErrorOf(std::vector<std::string> arguments) {
    const absl::StatusOr<int> status = Run(std::move(arguments));
    EXPECT_FALSE(status.ok()) << *status;
    return std::string(status.status().message());
  }
  void WriteImages() {
    for (const char* name : {"in/a/1.jpg", "in/a/2.jpg", "in/b/1.jpg", "in/b/2.jpg"}) {
      folder_.Write(name, worker::EncodeJpeg(worker::PatternImage(16, 16, name[5]), {}));
    }
  }
  std::string Path(absl::string_view name) const { return folder_.Path(name); }
  bool Exists(absl::string_view name) const { return std::filesystem::exists(Path(name)); }

  worker::TestFolder folder_;
};

TEST_F(DataCommandsTest, PackUnpackAndCheckGoRound) {
  WriteImages();
  EXPECT_EQ(*Run({"pack", Path("in"), Path("packed"), "--resize", "12", "--threads", "2"}), 0);
  EXPECT_EQ(*ReadFile(Path("packed/property")), "2,12,12\n");
  EXPECT_EQ(*Run({"unpack", Path("packed"), Path("unpacked")}), 0);
  EXPECT_TRUE(Exists("unpacked/00000001/00000003.jpg"));
  for (const char* name : {"in", "packed", "unpacked"}) EXPECT_EQ(*Run({"check", Path(name)}), 0) << name;
}

TEST_F(DataCommandsTest, PairsAreDrawnAndChecked) {
  EXPECT_EQ(*Run({"pairs", kGrocery, Path("set.bin"), "--pairs", "60", "--folds", "3", "--seed", "2"}), 0);
  EXPECT_EQ((*worker::VerificationSet::Load(Path("set.bin")))->pairs(), 60);
  EXPECT_EQ(*Run({"check", Path("set.bin")}), 0);
  const std::string first = *ReadFile(Path("set.bin"));
  EXPECT_EQ(ErrorOf({"pairs", kGrocery, Path("set.bin")}), Path("set.bin") + " exists already; --force replaces it");
  EXPECT_EQ(*Run({"pairs", kGrocery, Path("set.bin"), "--pairs", "60", "--folds", "3", "--force"}), 0);
  EXPECT_NE(*ReadFile(Path("set.bin")), first) << "another seed";
  EXPECT_THAT(
      ErrorOf({"pairs", kGrocery, Path("more.bin")}),
      AllOf(HasSubstr(kGrocery), HasSubstr("6000 pairs are too many"), HasSubstr("enough for 660 pairs in 10")));
  EXPECT_FALSE(Exists("more.bin"));
}

TEST_F(DataCommandsTest, WhatIsReadIsNeverReplaced) {
  WriteImages();
  folder_.Write("list.txt", "in/a/1.jpg 0\nin/a/2.jpg 0\nin/b/1.jpg 1\nin/b/2.jpg 1\n");
  ASSERT_EQ(*Run({"pack", Path("in"), Path("packed")}), 0);
  const std::string records = *ReadFile(Path("packed/train.rec"));
  EXPECT_THAT(ErrorOf({"pack", Path("packed"), Path("packed/../packed"), "--force", "--resize", "12"}),
              HasSubstr("train.rec is what is packed: it is not replaced"));
  EXPECT_EQ(*ReadFile(Path("packed/train.rec")), records);
  for (const auto& [source, out] : {std::pair("in", "in/a/1.jpg"),
                                    {"list.txt", "list.txt"},
                                    {"list.txt", "in/b/2.jpg"},
                                    {"packed", "packed/train.idx"},
                                    {"packed", "packed/property"}}) {
    const std::string before = *ReadFile(Path(out));
    EXPECT_THAT(ErrorOf({"pairs", Path(source), Path(out), "--pairs", "2", "--folds", "1", "--force"}),
                HasSubstr("it is not replaced"))
        << out;
    EXPECT_EQ(*ReadFile(Path(out)), before) << out;
  }
  folder_.Write("packed/pairs.bin", "an older set");
  EXPECT_EQ(*Run({"pairs", Path("packed"), Path("packed/pairs.bin"), "--pairs", "2", "--folds", "1", "--force"}), 0);
}

TEST_F(DataCommandsTest, AListCountsFromItsRoot) {
  WriteImages();
  folder_.Write("lists/all.txt", "a/2.jpg 0\nb/1.jpg 1\n");
  EXPECT_THAT(ErrorOf({"pack", Path("lists/all.txt"), Path("packed")}), HasSubstr(Path("lists/a/2.jpg")));
  EXPECT_EQ(*Run({"pack", Path("lists/all.txt"), Path("packed"), "--root", Path("in")}), 0);
  EXPECT_EQ((*worker::OpenEncodedDataset({.path = Path("packed")}))->samples(), 2);
}

TEST_F(DataCommandsTest, WhatIsDamagedMakesCheckEndWith1AndPackRefuse) {
  WriteImages();
  folder_.Write("in/b/3.jpg", "no image");
  EXPECT_EQ(*Run({"check", Path("in")}), 1);
  EXPECT_THAT(ErrorOf({"pack", Path("in"), Path("packed")}), HasSubstr("1 of the 5 images of "));
  EXPECT_FALSE(Exists("packed"));
  EXPECT_THAT(ErrorOf({"unpack", Path("in"), Path("unpacked")}), HasSubstr(Path("in/b/3.jpg: neither JPEG nor PNG")));
  EXPECT_THAT(ErrorOf({"pairs", Path("in"), Path("s.bin"), "--pairs", "2", "--folds", "1"}),
              HasSubstr("can't be paired"));
  EXPECT_EQ(*Run({"pack", Path("in"), Path("packed"), "--skip-damaged"}), 0);
  EXPECT_EQ(*Run({"unpack", Path("in"), Path("unpacked"), "--skip-damaged"}), 0);
  EXPECT_EQ(*Run({"pairs", Path("in"), Path("s.bin"), "--pairs", "2", "--folds", "1", "--skip-damaged"}), 0);
}

TEST_F(DataCommandsTest, CheckTellsWhatIsNotRead) {
  WriteImages();
  for (int i = 0; i < 50; ++i) folder_.Write(absl::StrCat("in/b/", i, ".webp"), "");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(*Run({"check", Path("in")}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              AllOf(HasSubstr("\nfiles: 4 .jpg\nwarning: 50 files are not read: pictures .webp, such as "),
                    HasSubstr("images: 4, ")));
}

TEST_F(DataCommandsTest, ANameCannotForgeALine) {
  WriteImages();
  folder_.Write("in/b/x\ndamaged: 0 images\x1b[31m.webp", "");
  for (const char* const command : {"check", "pack", "unpack"}) {
    std::vector<std::string> arguments = {command, Path("in")};
    if (arguments[0] != "check") arguments.push_back(Path(command));
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(*Run(arguments), 0);
    const std::string shown = ::testing::internal::GetCapturedStdout();
    EXPECT_THAT(shown, HasSubstr("in/b/x damaged: 0 images\\x1b[31m.webp"));
    EXPECT_THAT(shown, Not(AnyOf(HasSubstr("\ndamaged: 0 images\\x1b"), HasSubstr("\x1b")))) << command;
  }
}

TEST_F(DataCommandsTest, CheckReadsAListOfPairsAsAVerificationSet) {
  WriteImages();
  folder_.Write("in/label.txt", "a/1.jpg\ta/2.jpg\t1\na/1.jpg\tb/1.jpg\t0\n");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(*Run({"check", Path("in/label.txt")}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              HasSubstr("a verification set of 2 pairs, 1 of the same class"));
}

TEST_F(DataCommandsTest, CheckSaysWhatAFileIsThatIsNoListOfOurs) {
  WriteImages();
  folder_.Write("t.lst", "1\tin/a/1.jpg\t0\n1\tin/b/1.jpg\t1\n");
  EXPECT_THAT(ErrorOf({"check", Path("t.lst")}), AllOf(HasSubstr("line 1 of "), HasSubstr("InsightFace's .lst")));
  folder_.Write("run.yaml", "data:\n  train: in\n");
  EXPECT_THAT(ErrorOf({"check", Path("run.yaml")}), HasSubstr("if this is a run's configuration"));
  folder_.Write("lfw.bin", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(ErrorOf({"check", Path("lfw.bin")}), HasSubstr("; it is a pointer of Git LFS"));
}

TEST_F(DataCommandsTest, ALabelOfNineDigitsIsCheckedUnpackedAndPaired) {
  WriteImages();
  folder_.Write("list.txt", "in/a/1.jpg 0\nin/a/2.jpg 0\nin/b/1.jpg 999999999\nin/b/2.jpg 999999999\n");
  EXPECT_EQ(*Run({"check", Path("list.txt")}), 0);
  EXPECT_EQ(*Run({"unpack", Path("list.txt"), Path("unpacked")}), 0);
  EXPECT_TRUE(Exists("unpacked/999999999/00000003.jpg"));
  EXPECT_EQ(*Run({"pairs", Path("list.txt"), Path("s.bin"), "--pairs", "2", "--folds", "1"}), 0);
  EXPECT_THAT(ErrorOf({"pack", Path("list.txt"), Path("packed")}), HasSubstr("float32 label"));
}

TEST_F(DataCommandsTest, WhatIsNoDataIsRefusedWithASentence) {
  std::filesystem::create_directories(Path("empty"));
  folder_.Write("file", "a.jpg -3\n");
  for (const std::vector<std::string>& command : {std::vector<std::string>{"pack", "", Path("o")},
                                                  {"unpack", "", Path("o")},
                                                  {"pairs", "", Path("o")},
                                                  {"check", ""}}) {
    const auto error = [&](const std::string& source) {
      std::vector<std::string> arguments = command;
      arguments[1] = source;
      return ErrorOf(arguments);
    };
    EXPECT_THAT(error(Path("none")), AllOf(HasSubstr(Path("none")), HasSubstr("No such file or directory")));
    EXPECT_THAT(error(Path("empty")), HasSubstr("holds no training set: neither train.rec"));
    EXPECT_THAT(error(Path("file")), HasSubstr("line 1 of " + Path("file") + " has the label '-3'"));
    EXPECT_FALSE(Exists("o"));
  }
  folder_.Write("broken.bin", "no pickle");
  EXPECT_THAT(ErrorOf({"check", Path("broken.bin")}), HasSubstr(Path("broken.bin")));
}

TEST_F(DataCommandsTest, ArgumentsOutOfRangeAreUsageErrors) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"pack", "a"},
                                                    {"pack", "a", "b", "--resize", "0"},
                                                    {"check", "a", "--format", "synthetic"},
                                                    {"pairs", "a", "b", "--pairs", "1000002"},
                                                    {"check", "a", "--threads", "0"},
                                                    {"squeeze", "a"},
                                                    {}}) {
    EXPECT_TRUE(IsUsageError(arguments));
  }
}

}  // namespace
}  // namespace arcshard::cli
