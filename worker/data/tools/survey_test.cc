#include "worker/data/tools/survey.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/open_dataset.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"
#include "worker/data/testing/test_records.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(SurveyTest, CountsSizesClassesAndDamageAreTheSameForAnyNumberOfThreads) {
  const TestFolder folder;
  int shade = 0;
  for (const char* name : {"a/1.jpg", "a/2.jpg", "a/3.jpg", "c/1.jpg", "c/2.jpg"}) {
    folder.Write(name, EncodeJpeg(PatternImage(shade < 2 ? 24 : 16, 16, shade), {}));
    ++shade;
  }
  folder.Write("b/1.png", "no image");
  folder.Write("c/3.jpg", EncodeJpeg(PatternImage(16, 16, 1), {}).substr(0, 300));
  folder.Write("d/readme", "");
  const auto dataset = *OpenEncodedDataset({.path = folder.path()});
  for (const int threads : {1, 3, 50}) {
    const Survey survey = SurveyDataset(*dataset, threads);
    EXPECT_EQ(survey.images, 5);
    EXPECT_THAT(survey.sizes, ElementsAre(Pair(Pair(16, 16), 3), Pair(Pair(24, 16), 2)));
    EXPECT_THAT(survey.labels, ElementsAre(0, 0, 0, -1, 2, 2, -1));
    EXPECT_EQ(survey.classes, 4);
    EXPECT_THAT(survey.of_class, ElementsAre(ClassCount{0, 3}, ClassCount{2, 2}));
    ASSERT_EQ(survey.damaged.size(), 2u);
    EXPECT_EQ(survey.damaged[0].sample, 3);
    EXPECT_EQ(survey.damaged[0].status,
              absl::DataLossError(folder.Path("b/1.png") + ": neither JPEG nor PNG (8 bytes)"));
    EXPECT_EQ(survey.damaged[1].sample, 6);
    EXPECT_EQ(MostFrequentSize(survey), std::pair(16, 16));
    const std::string text = SurveyText(survey, 1);
    EXPECT_THAT(text, HasSubstr("images: 5, 0.0 MiB\n"
                                "size: 16 × 16 pixels for 3 of 5; widths 16 to 24 (median 16), heights 16 to 16 "
                                "(median 16)\n"
                                "classes: 4\n"
                                "images per class: 0 at least, median 0, 3 at most\n"
                                "               0: 2 classes\n"
                                "          2 to 3: 2 classes\n"
                                "without images: 2 classes (1, 3)\n"
                                "damaged: 2 images\n  "));
    EXPECT_TRUE(absl::EndsWith(text, "\n  ... and 1 more\n")) << text;
  }
}

TEST(SurveyTest, ALabelThatIsNoClassIsDamageToo) {
  const TestFolder folder;
  TestRecords records;
  for (const float label : {0.0f, 5.0f}) {
    records.Add(static_cast<int64_t>(label), ImageRecord(label, EncodeJpeg(PatternImage(8, 8, 1), {})));
  }
  records.WriteTo(folder, 2);
  const Survey survey = SurveyDataset(**OpenEncodedDataset({.path = folder.path()}), 1);
  ASSERT_EQ(survey.damaged.size(), 1u);
  EXPECT_EQ(survey.damaged[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSound(survey, "here", "packed", true).code(), absl::StatusCode::kInvalidArgument)
      << "only damaged bytes may be skipped";
}

TEST(SurveyTest, TheGroceriesAreSoundAndSoAreTheirPairs) {
  const auto dataset = *OpenEncodedDataset({.path = ARCSHARD_SOURCE_DIR "/examples/grocery/data"});
  const Survey survey = SurveyDataset(*dataset, 2);
  EXPECT_EQ(survey.images, 96);
  EXPECT_EQ(survey.of_class.size(), 12u);
  EXPECT_THAT(survey.of_class, ::testing::Each(::testing::Field(&ClassCount::images, 8)));
  EXPECT_EQ(CheckSound(survey, dataset->path(), "packed", false), absl::OkStatus());
  const std::string text = SurveyText(survey, 10);
  EXPECT_THAT(text, HasSubstr("pixels, all\nclasses: 12\nimages per class: 8 at least, median 8, 8 at most\n"));
  EXPECT_THAT(text, HasSubstr("damaged: none\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("without images")));

  const auto set = *VerificationSet::Load(ARCSHARD_SOURCE_DIR "/examples/grocery/data/pairs.bin");
  const Survey pairs = SurveySet(*set, 2);
  EXPECT_EQ(pairs.images, set->images());
  EXPECT_THAT(pairs.damaged, IsEmpty());
  EXPECT_THAT(SurveyText(pairs, 10), ::testing::Not(HasSubstr("class")));
}

TEST(SurveyTest, ASetsDamagedImageIsNamed) {
  std::string pickle(
      "\x80\x03](C\x03"
      "abcC\x01"
      "de](\x88"
      "e\x86.",
      19);
  const auto set = VerificationSet::Parse("/sets/x.bin", pickle);
  ASSERT_TRUE(set.ok()) << set.status();
  const Survey survey = SurveySet(**set, 2);
  ASSERT_EQ(survey.damaged.size(), 2u);
  EXPECT_EQ(survey.damaged[1].status.message(), "image 1 of /sets/x.bin: neither JPEG nor PNG (1 bytes)");
  EXPECT_EQ(SurveyText(survey, 0), "images: 0, 0.0 MiB\ndamaged: 2 images\n  ... and 2 more\n");
}

TEST(SurveyTest, WithManyClassesWithoutImagesTheFirstAreNamed) {
  Survey survey;
  survey.images = 1;
  survey.sizes[{8, 8}] = 1;
  survey.classes = 100;
  survey.of_class = {{50, 1}};
  EXPECT_THAT(SurveyText(survey, 0), HasSubstr("without images: 99 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)\n"));
  survey.of_class = {{0, 1}, {3, 1}};
  EXPECT_THAT(SurveyText(survey, 0), HasSubstr("without images: 98 classes (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, ...)\n"));
}

TEST(SurveyTest, ALabelOfNineDigitsTakesNoMemory) {
  const TestFolder folder;
  folder.Write("a.jpg", EncodeJpeg(PatternImage(8, 8, 1), {}));
  const std::string list = folder.Write("list.txt", "a.jpg 0\na.jpg 999999999\na.jpg 999999999\n");
  const Survey survey = SurveyDataset(**OpenEncodedDataset({.path = list}), 2);
  EXPECT_EQ(survey.classes, 1'000'000'000);
  EXPECT_THAT(survey.of_class, ElementsAre(ClassCount{0, 1}, ClassCount{999999999, 2}));
  EXPECT_THAT(SurveyText(survey, 0), HasSubstr("classes: 1000000000\n"
                                               "images per class: 0 at least, median 0, 2 at most\n"
                                               "               0: 999999998 classes\n"));
}

TEST(SurveyTest, EachDamagedRecordIsNamedAndTheOthersAreCounted) {
  const std::string jpeg = EncodeJpeg(PatternImage(8, 8, 1), {});
  for (const int64_t damaged : {0, 4, 8}) {
    for (const char* kind :
         {"magic", "length", "length within", "flag", "zeros", "short", "empty", "labels", "image"}) {
      SCOPED_TRACE(absl::StrCat(kind, " ", damaged));
      const TestFolder folder;
      TestRecords records;
      for (int64_t i = 0; i < 9; ++i) {
        const size_t begin = records.rec.size();
        std::string payload = ImageRecord(static_cast<float>(i % 3), jpeg);
        if (i == damaged) {
          if (kind == absl::string_view("short")) payload = "short";
          if (kind == absl::string_view("empty")) payload = "";
          if (kind == absl::string_view("labels")) payload[1] = 100;
          if (kind == absl::string_view("image")) payload.resize(100);
        }
        records.Add(i, payload);
        if (i != damaged) continue;
        if (kind == absl::string_view("magic")) records.rec[begin] ^= 0x7f;
        if (kind == absl::string_view("length")) records.rec[begin + 7] = 0x10;
        if (kind == absl::string_view("length within")) records.rec[begin + 5] ^= 0x02;
        if (kind == absl::string_view("flag")) records.rec[begin + 7] = 0x60;
        if (kind == absl::string_view("zeros")) std::fill(records.rec.begin() + begin, records.rec.end(), '\0');
      }
      records.WriteTo(folder, 3);
      const auto dataset = OpenEncodedDataset({.path = folder.path()});
      ASSERT_TRUE(dataset.ok()) << dataset.status();
      for (const int threads : {1, 4}) {
        const Survey survey = SurveyDataset(**dataset, threads);
        EXPECT_EQ(survey.images, 8);
        ASSERT_EQ(survey.damaged.size(), 1u);
        EXPECT_EQ(survey.damaged[0].status.code(), absl::StatusCode::kDataLoss);
        EXPECT_THAT(std::string(survey.damaged[0].status.message()),
                    HasSubstr(absl::StrCat("record ", damaged, " of ")));
        EXPECT_EQ(CheckSound(survey, "here", "packed", true), absl::OkStatus());
      }
    }
  }
}

TEST(SurveyTest, ADamagedHeaderIsNamedToo) {
  const TestFolder folder;
  TestRecords records;
  records.Add(0, RecordWithLabels({2, 3}, ""));
  records.Add(1, ImageRecord(0, EncodeJpeg(PatternImage(8, 8, 1), {})));
  records.Add(2, RecordWithLabels({1, 2}, ""));
  records.rec[0] = 0;
  records.WriteTo(folder, 1);
  const Survey survey = SurveyDataset(**OpenEncodedDataset({.path = folder.path()}), 1);
  EXPECT_EQ(survey.images, 1);
  ASSERT_EQ(survey.damaged.size(), 1u);
  EXPECT_THAT(std::string(survey.damaged[0].status.message()), HasSubstr("the header: record 0 of "));
}

TEST(SurveyTest, WhatIsNoDamageButMaySurpriseIsCounted) {
  const TestFolder folder;
  const Image image = PatternImage(8, 8, 1);
  const std::string jpeg = EncodeJpeg(image, {});
  folder.Write("a/1.jpg", jpeg.substr(0, jpeg.size() - 2));
  folder.Write("a/2.jpg", EncodeJpeg(image, {.orientation = 6}));
  folder.Write("a/3.jpg", EncodeJpeg(image, {.orientation = 1}));
  const Survey survey = SurveyDataset(**OpenEncodedDataset({.path = folder.path()}), 1);
  EXPECT_EQ(survey.images, 3);
  EXPECT_EQ(survey.without_end, 1);
  EXPECT_EQ(survey.turned, 1);
  EXPECT_THAT(SurveyText(survey, 0), HasSubstr("without an end marker: 1 image; all of their pixels are there\n"
                                               "turned by EXIF: 1 image; their orientation is ignored"));
}

TEST(SurveyTest, ItsProgressIsToldAndEndsBelowTheWhole) {
  const auto dataset = *OpenEncodedDataset({.path = ARCSHARD_SOURCE_DIR "/examples/grocery/data"});
  std::vector<int64_t> told;
  SurveyDataset(*dataset, 1, [&](absl::string_view verb, int64_t done, int64_t all) {
    EXPECT_EQ(verb, "checked");
    EXPECT_EQ(all, 96);
    told.push_back(done);
  });
  EXPECT_EQ(told.size(), 96u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
}

}  // namespace
}  // namespace arcshard::worker
