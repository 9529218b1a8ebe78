#include "worker/data/formats/verification_list.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VerificationListTest : public ::testing::Test {
 protected:
  std::string ErrorOf(const std::string& text) {
    const absl::Status status = VerificationSet::Load(folder_.Write("set/label.txt", text)).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  TestFolder folder_;
};

TEST_F(VerificationListTest, APlscSetIsReadWithItsFolderAsItsName) {
  for (const char* name : {"0_0.png", "0_1.png", "1_0.png"})
    folder_.Write(absl::StrCat("agedb_30/images/", name), name);
  const std::string list =
      folder_.Write("agedb_30/label.txt", "images/0_0.png\timages/0_1.png\t1\r\n\nimages/0_0.png\timages/1_0.png\t0\n");
  const auto set = VerificationSet::Load(list);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->name(), "agedb_30");
  EXPECT_EQ((*set)->pairs(), 2);
  EXPECT_THAT((*set)->same(), ElementsAre(true, false));
  EXPECT_EQ((*set)->image(0), "0_0.png");
  EXPECT_EQ((*set)->image(1), "0_1.png");
  EXPECT_EQ((*set)->image(3), "1_0.png");
  EXPECT_EQ((*set)->image(0).data(), (*set)->image(2).data()) << "a file of several pairs is read once";
}

TEST_F(VerificationListTest, BlanksSeparateWhereThereAreNoTabs) {
  folder_.Write("a b.png", "one");
  folder_.Write("c.png", "two");
  const auto tabs = VerificationSet::Load(folder_.Write("tabs", "a b.png\tc.png\t1\n"));
  ASSERT_TRUE(tabs.ok()) << tabs.status();
  EXPECT_EQ((*tabs)->name(), "tabs");
  EXPECT_EQ((*tabs)->image(0), "one");
  const auto blanks = VerificationSet::Load(folder_.Write("blanks.lst", "c.png c.png 1"));
  ASSERT_TRUE(blanks.ok()) << blanks.status();
  EXPECT_EQ((*blanks)->pairs(), 1);
}

TEST_F(VerificationListTest, MirroredPairsAreSkipped) {
  const auto list = ParsePairList("/sets/label.txt", "a_0.png\ta_1.png\t1\na_0_hflip.png\ta_1_hflip.png\t1\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->paths, ElementsAre("/sets/a_0.png", "/sets/a_1.png"));
  EXPECT_EQ(list->same.size(), 1u);
}

TEST_F(VerificationListTest, WhatIsNoPairIsRefusedWithItsLine) {
  folder_.Write("set/a.png", "a");
  EXPECT_THAT(ErrorOf("a.png\ta.png\t1\na.png\ta.png\t2\n"), AllOf(HasSubstr("line 2 of "), HasSubstr("label.txt")));
  EXPECT_THAT(ErrorOf("a.png\t1\n"), HasSubstr("line 1 of "));
  EXPECT_THAT(ErrorOf("Abel_Pacheco 1 4\n"), HasSubstr("line 1 of "));
  EXPECT_THAT(ErrorOf("a.png\tgone.png\t1\n"), AllOf(HasSubstr("label.txt: "), HasSubstr("set/gone.png")));
  EXPECT_THAT(ErrorOf(""), HasSubstr("0 images and 0 flags"));
}

TEST_F(VerificationListTest, AListOfATrainingSetIsNoneOfPairs) {
  const std::string training = folder_.Write("t.lst", "1\tdata/c000/000.jpg\t0\n1\tdata/c001/000.jpg\t1\n");
  EXPECT_FALSE(IsPairListWithTabs(training)) << "InsightFace's: aligned, path, label";
  EXPECT_THAT(ErrorOf("1\ta.jpg\t0\n"), HasSubstr("of a training set's list, which belongs to data.train"));
  EXPECT_THAT(ErrorOf("a.jpg\t17\n"), HasSubstr("of a training set's list, which belongs to data.train"));
}

TEST_F(VerificationListTest, AByteOrderMarkIsNoPartOfTheFirstPathAndUtf16IsNamed) {
  const auto list = ParsePairList("/sets/label.txt",
                                  "\xef\xbb\xbf"
                                  "a.png\tb.png\t1\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->paths, ElementsAre("/sets/a.png", "/sets/b.png"));
  EXPECT_TRUE(IsPairListWithTabs(folder_.Write("bom",
                                               "\xef\xbb\xbf"
                                               "a.png\tb.png\t1\n")));
  EXPECT_THAT(ErrorOf("\xff\xfe"
                      "a"),
              HasSubstr("label.txt is a text in UTF-16; save it as UTF-8"));
}

TEST_F(VerificationListTest, APathWithoutEndIsRefusedByAShortSentence) {
  const std::string message = ErrorOf(std::string(5'000'000, 'a') + "\tb.png\t1\n");
  EXPECT_THAT(message, HasSubstr("has a path of 5000000 bytes"));
  EXPECT_LT(message.size(), 600u);
}

TEST_F(VerificationListTest, OnlyAListWithTabsIsToldFromATrainingSet) {
  EXPECT_TRUE(IsPairListWithTabs(folder_.Write("1", "\na.png\tb.png\t1\n")));
  EXPECT_FALSE(IsPairListWithTabs(folder_.Write("2", "my a.png 1\n"))) << "a path with a blank, and a label";
  EXPECT_FALSE(IsPairListWithTabs(folder_.Write("3", "a.png\t1\n")));
  EXPECT_FALSE(IsPairListWithTabs(folder_.Write("4", "")));
  EXPECT_FALSE(IsPairListWithTabs(folder_.Path("none")));
}

}  // namespace
}  // namespace arcshard::worker
