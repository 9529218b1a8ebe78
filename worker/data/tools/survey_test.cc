#include "worker/data/tools/survey.h"

#include <numeric>

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
    EXPECT_THAT(survey.of_class, ElementsAre(3, 0, 2, 0));
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
  EXPECT_THAT(survey.of_class, ::testing::Each(8));
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
  survey.of_class.assign(100, 0);
  survey.of_class[50] = 1;
  EXPECT_THAT(SurveyText(survey, 0), HasSubstr("without images: 99 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)\n"));
}

}  // namespace
}  // namespace arcshard::worker
