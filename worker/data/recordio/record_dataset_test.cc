#include "worker/data/recordio/record_dataset.h"

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_records.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

class RecordDatasetTest : public ::testing::Test {
 protected:
  // Writes the records of writer_ to the folder and opens it.
  absl::StatusOr<std::unique_ptr<RecordDataset>> Open(int64_t property_classes = 3, int64_t classes = 0) {
    writer_.WriteTo(folder_, property_classes);
    return RecordDataset::Open(folder_.path(), classes);
  }

  TestFolder folder_;
  TestRecords writer_;
};

TEST_F(RecordDatasetTest, AHeaderRecordTellsImagesFromIdentities) {
  writer_.Add(0, RecordWithLabels({4, 6}, ""));
  for (int64_t i = 1; i <= 3; ++i) writer_.Add(i, ImageRecord(static_cast<float>(i - 1), absl::StrCat("image ", i)));
  writer_.Add(4, RecordWithLabels({1, 3}, ""));
  writer_.Add(5, RecordWithLabels({3, 4}, ""));
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->samples(), 3);
  EXPECT_EQ((*dataset)->classes(), 3);
  EncodedSample sample;
  for (int64_t i = 2; i >= 0; --i) {
    ASSERT_TRUE((*dataset)->ReadEncoded(i, &sample).ok());
    EXPECT_EQ(sample.label, i);
    EXPECT_EQ(sample.image(), absl::StrCat("image ", i + 1));
    EXPECT_EQ((*dataset)->record(i), i + 1);
  }
}

TEST_F(RecordDatasetTest, AHeaderThatIsALittleOffAsFloat32IsAbove2To24EndsAtTheLastImage) {
  for (const float first_identity : {3.0f, 4.0f, 5.0f, 6.0f}) {
    writer_ = TestRecords();
    writer_.Add(0, RecordWithLabels({first_identity, 7}, ""));
    for (int64_t i = 1; i <= 4; ++i) writer_.Add(i, ImageRecord(0, "image"));
    for (int64_t i = 5; i <= 6; ++i) writer_.Add(i, RecordWithLabels({1, 3}, ""));
    auto dataset = Open();
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ((*dataset)->samples(), 4) << first_identity;
  }
}

TEST_F(RecordDatasetTest, WithoutAHeaderRecordEveryRecordIsAnImage) {
  writer_.Add(0, ImageRecord(2, "image 0"));
  writer_.Add(7, RecordWithLabels({1, 0.25f}, "image 7"));
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->samples(), 2);
  EncodedSample sample;
  ASSERT_TRUE((*dataset)->ReadEncoded(0, &sample).ok());
  EXPECT_EQ(sample.label, 2);
  ASSERT_TRUE((*dataset)->ReadEncoded(1, &sample).ok());
  EXPECT_EQ(sample.label, 1) << "the first of the labels after the header";
  EXPECT_EQ(sample.image(), "image 7");
  EXPECT_EQ((*dataset)->record(1), 7);
}

TEST_F(RecordDatasetTest, ALabelOutsideTheClassesIsRefusedWithRecordLabelAndN) {
  const std::vector<std::pair<float, std::string>> labels = {
      {3, "label 3"}, {-1, "label -1"}, {0.5f, "label 0.5"}, {std::numeric_limits<float>::quiet_NaN(), "label nan"}};
  for (size_t i = 0; i < labels.size(); ++i)
    writer_.Add(static_cast<int64_t>(i), ImageRecord(labels[i].first, "image"));
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EncodedSample sample;
  for (size_t i = 0; i < labels.size(); ++i) {
    const absl::Status status = (*dataset)->ReadEncoded(static_cast<int64_t>(i), &sample);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr(absl::StrCat("record ", i, " of ")));
    EXPECT_THAT(message, HasSubstr(labels[i].second));
    EXPECT_THAT(message, HasSubstr("N = 3"));
  }
}

TEST_F(RecordDatasetTest, ConfiguredClassesTakePrecedenceOverProperty) {
  writer_.Add(0, ImageRecord(8, "image"));
  auto dataset = Open(3, 10);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->classes(), 10);
  EncodedSample sample;
  EXPECT_TRUE((*dataset)->ReadEncoded(0, &sample).ok());
}

TEST_F(RecordDatasetTest, AMissingFileIsNamed) {
  writer_.Add(0, ImageRecord(0, "image"));
  for (const char* name : {"property", "train.rec", "train.idx"}) {
    writer_.WriteTo(folder_, 3);
    ASSERT_EQ(std::remove(folder_.Path(name).c_str()), 0);
    const absl::Status status = RecordDataset::Open(folder_.path(), 0).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(status.message(),
              absl::StrCat(folder_.Path(name), ": cannot open for reading: No such file or directory"));
  }
}

TEST_F(RecordDatasetTest, APropertyThatMakesNoSenseIsRefused) {
  writer_.Add(0, ImageRecord(0, "image"));
  writer_.WriteTo(folder_, 3);
  for (const char* text :
       {"", "3", "0,8,8", "-1,8,8", "many,8,8", "3.5,8,8", "1000000001,8,8", "999999999999999999,8,8"}) {
    folder_.Write("property", text);
    EXPECT_EQ(RecordDataset::Open(folder_.path(), 0).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST_F(RecordDatasetTest, AHeaderThatDoesNotFitItsIndexIsRefused) {
  const std::vector<std::vector<float>> headers = {{4, 5},    {1, 5},         {0, 0}, {-3, 2},
                                                   {2.5f, 3}, {1e30f, 2e30f}, {2, 1}, {2}};
  for (const std::vector<float>& labels : headers) {
    writer_ = TestRecords();
    writer_.Add(0, RecordWithLabels(labels, ""));
    writer_.Add(1, ImageRecord(0, "image"));
    writer_.Add(3, ImageRecord(0, "image"));
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << labels[0];
    EXPECT_THAT(std::string(status.message()), HasSubstr("record 0 of ")) << labels[0];
  }
}

TEST_F(RecordDatasetTest, ARecordShorterThanItsHeaderIsDataLoss) {
  writer_.Add(0, ImageRecord(0, "image"));
  writer_.Add(1, "short");
  std::string announces_more_labels = RecordWithLabels({1, 2}, "");
  announces_more_labels[0] = 100;
  writer_.Add(2, announces_more_labels);
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EncodedSample sample;
  EXPECT_EQ((*dataset)->ReadEncoded(1, &sample).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*dataset)->ReadEncoded(2, &sample).code(), absl::StatusCode::kDataLoss);
}

TEST_F(RecordDatasetTest, ADamagedHeaderIsToldAndTheIdentitiesSayWhereTheImagesEnd) {
  writer_.Add(0, RecordWithLabels({4, 6}, ""));
  for (int64_t i = 1; i <= 3; ++i) writer_.Add(i, ImageRecord(static_cast<float>(i - 1), absl::StrCat("image ", i)));
  writer_.Add(4, RecordWithLabels({1, 3}, ""));
  writer_.Add(5, RecordWithLabels({3, 4}, ""));
  const std::string whole = writer_.rec;
  for (const size_t byte : {0, 7, 8}) {  // the magic number, the part's flag, the number of labels
    writer_.rec = whole;
    writer_.rec[byte] = static_cast<char>(writer_.rec[byte] ^ 0x7f);
    const auto dataset = Open();
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ((*dataset)->samples(), 3) << byte;
    EXPECT_EQ((*dataset)->Damage().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT((*dataset)->Warnings(), ::testing::ElementsAre(HasSubstr("the header: record 0 of ")));
    EncodedSample sample;
    EXPECT_EQ((*dataset)->ReadEncoded(0, &sample), absl::OkStatus());
    EXPECT_EQ(sample.image(), "image 1");
  }
}

TEST_F(RecordDatasetTest, ADamagedFirstOrLastImageIsOneSampleThatIsDamaged) {
  for (const int64_t damaged : {0, 2}) {
    writer_ = TestRecords();
    for (int64_t i = 0; i < 3; ++i) {
      if (i == damaged) writer_.AddIndexLine(i, static_cast<int64_t>(writer_.rec.size()));
      if (i == damaged) writer_.rec.append(32, '\0');
      if (i != damaged) writer_.Add(i, ImageRecord(1, "image"));
    }
    const auto dataset = Open();
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ((*dataset)->samples(), 3);
    EXPECT_EQ((*dataset)->Damage(), absl::OkStatus());
    EncodedSample sample;
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ((*dataset)->ReadEncoded(i, &sample).ok(), i != damaged) << i;
  }
}

TEST_F(RecordDatasetTest, AfterAReadThatFailedThereIsNoImage) {
  writer_.Add(0, RecordWithLabels({1, 2, 3, 4, 5, 6, 7, 8}, "image"));
  writer_.Add(1, "short");
  writer_.AddIndexLine(2, 1);
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EncodedSample sample;
  for (const int64_t bad : {1, 2}) {
    ASSERT_TRUE((*dataset)->ReadEncoded(0, &sample).ok());
    EXPECT_EQ(sample.image(), "image");
    EXPECT_EQ((*dataset)->ReadEncoded(bad, &sample).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(sample.image(), "") << bad;
  }
}

// The two sets in examples/: 12 kinds of groceries as JPEG, 964 characters as PNG.
TEST(CheckedInRecordsTest, GroceryAndOmniglotAreReadWhole) {
  struct Case {
    std::string folder;
    int64_t samples, classes;
    absl::string_view signature;
  };
  for (const Case& data : {Case{"/examples/grocery/data", 96, 12, "\xff\xd8\xff"},
                           Case{"/examples/omniglot/data", 19280, 964, "\x89PNG"}}) {
    auto dataset = RecordDataset::Open(absl::StrCat(ARCSHARD_SOURCE_DIR, data.folder), 0);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ((*dataset)->samples(), data.samples);
    EXPECT_EQ((*dataset)->classes(), data.classes);
    EncodedSample sample;
    std::vector<int64_t> of_class(data.classes);
    for (int64_t i = 0; i < data.samples; ++i) {
      ASSERT_TRUE((*dataset)->ReadEncoded(i, &sample).ok());
      ASSERT_TRUE(absl::StartsWith(sample.image(), data.signature)) << i;
      ++of_class[sample.label];
    }
    EXPECT_THAT(of_class, ::testing::Each(data.samples / data.classes));
  }
}

}  // namespace
}  // namespace arcshard::worker
