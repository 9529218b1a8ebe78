#include "shard_server/checkpoint/class_centers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/safetensors.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;

constexpr int64_t kClasses = 10;
constexpr int64_t kDim = 4;

std::string Folder() {
  const std::string folder = absl::StrCat(testing::TempDir(), "/class_centers_test_", ::getpid(), "_",
                                          testing::UnitTest::GetInstance()->current_test_info()->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::unique_ptr<head::Head> HeadOf(ClassRange range, head::DataType weights = head::DataType::kFloat32) {
  head::HeadOptions options;
  options.weights = weights;
  options.num_classes = kClasses;
  options.range = range;
  options.dim = kDim;
  return *head::Head::Create(options, int64_t{1} << 30);
}

std::vector<float> WeightsOf(const head::Head& head) {
  const ClassRange range = head.options().range;
  std::vector<float> weights(range.size() * kDim);
  EXPECT_TRUE(head.ReadWeights(range, {weights.data(), range.size(), kDim}).ok());
  return weights;
}

// The value of class j, dimension d is kDim·j + d.
std::vector<float> Rows(ClassRange range) {
  std::vector<float> rows(range.size() * kDim);
  std::iota(rows.begin(), rows.end(), static_cast<float>(range.begin * kDim));
  return rows;
}

absl::Status Write(const std::string& path, std::vector<std::pair<std::string, ClassRange>> tensors,
                   int64_t dim = kDim) {
  std::vector<std::vector<float>> values;
  for (const auto& [name, range] : tensors) values.push_back(Rows(range));
  std::vector<TensorView> views;
  for (size_t i = 0; i < tensors.size(); ++i) {
    values[i].resize(tensors[i].second.size() * dim);
    views.push_back(TensorView::Of<float>(tensors[i].first, {tensors[i].second.size(), dim}, values[i]));
  }
  return WriteSafetensors(path, views);
}

TEST(ClassCentersTest, TheRowsOfARangeAreReadOutOfTheWholeMatrix) {
  const std::string path = Folder() + "/init.safetensors";
  ASSERT_TRUE(Write(path, {{"class_centers", {0, kClasses}}}).ok());
  const auto head = HeadOf({3, 7});
  ASSERT_TRUE(LoadClassCenters(path, head.get()).ok());
  EXPECT_EQ(WeightsOf(*head), Rows({3, 7}));
}

TEST(ClassCentersTest, TheRowsOfARangeAreGatheredFromThoseOfOtherRanges) {
  const std::string path = Folder() + "/init.safetensors";
  ASSERT_TRUE(
      Write(path, {{"class_centers.5-10", {5, 10}}, {"class_centers.0-4", {0, 4}}, {"class_centers.4-5", {4, 5}}})
          .ok());
  const auto head = HeadOf({3, 7});
  ASSERT_TRUE(LoadClassCenters(path, head.get()).ok());
  EXPECT_EQ(WeightsOf(*head), Rows({3, 7}));
}

TEST(ClassCentersTest, RowsThatAreMissingAreNamed) {
  const std::string path = Folder() + "/init.safetensors";
  ASSERT_TRUE(Write(path, {{"class_centers.0-4", {0, 4}}, {"other", {0, 10}}}).ok());
  const absl::Status status = LoadClassCenters(path, HeadOf({3, 7}).get());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), path + ": holds no row 4 of class_centers");
}

TEST(ClassCentersTest, ATensorOfAnotherShapeIsRefused) {
  const std::string path = Folder() + "/init.safetensors";
  const auto error = [&](ClassRange range) {
    const absl::Status status = LoadClassCenters(path, HeadOf(range).get());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  ASSERT_TRUE(Write(path, {{"class_centers", {0, 9}}}).ok());
  EXPECT_EQ(error({3, 10}), path + ": holds no row 9 of class_centers");
  ASSERT_TRUE(Write(path, {{"class_centers", {0, 11}}}).ok());
  EXPECT_EQ(error({3, 7}), path + ": has 11 classes, this run has 10");
  ASSERT_TRUE(Write(path, {{"class_centers", {0, 10}}}, kDim + 1).ok());
  EXPECT_THAT(error({3, 7}), HasSubstr("have 5 dimensions, those of this run have 4"));
  EXPECT_EQ(LoadClassCenters(path + ".none", HeadOf({3, 7}).get()).code(), absl::StatusCode::kNotFound);
}

TEST(ClassCentersTest, WhatIsSavedIsReadBack) {
  const std::string run = Folder() + "/run";
  const std::string path = run + "/model/class_centers-3-7.safetensors";
  const auto head = HeadOf({3, 7});
  ASSERT_TRUE(SaveClassCenters(RealFileSystem(), run, {2, 3}, *head).ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata(), (SafetensorsMetadata{{"format", "arcshard"}, {"num_classes", "10"}, {"view", "2.3"}}));
  const auto values = file->Read<float>("class_centers.3-7");
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(*values, WeightsOf(*head));
  const auto other = HeadOf({4, 6});
  ASSERT_TRUE(other->WriteWeights({4, 6}, {std::vector<float>(2 * kDim).data(), 2, kDim}).ok());
  ASSERT_TRUE(LoadClassCenters(path, other.get()).ok());
  EXPECT_EQ(WeightsOf(*other), std::vector<float>(values->begin() + kDim, values->begin() + 3 * kDim));
}

// Every bfloat16 value is a float32 value, so the head holds exactly the values of the file.
TEST(ClassCentersTest, WeightsInBfloat16AreSavedAndReadBackToTheBit) {
  const std::string run = Folder() + "/run";
  const auto head = HeadOf({3, 7}, head::DataType::kBfloat16);
  const std::vector<float> weights = WeightsOf(*head);
  EXPECT_NE(weights, WeightsOf(*HeadOf({3, 7})));  // the first weights, rounded
  ASSERT_TRUE(SaveClassCenters(RealFileSystem(), run, {1, 1}, *head).ok());
  const std::string path = run + "/model/class_centers-3-7.safetensors";
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Read<float>("class_centers.3-7"), weights);
  for (const head::DataType held : {head::DataType::kBfloat16, head::DataType::kFloat32}) {
    const auto other = HeadOf({3, 7}, held);
    ASSERT_TRUE(other->WriteWeights({3, 7}, {std::vector<float>(4 * kDim).data(), 4, kDim}).ok());
    ASSERT_TRUE(LoadClassCenters(path, other.get()).ok());
    EXPECT_EQ(WeightsOf(*other), weights);
  }
}

TEST(ClassCentersTest, AnInitOfFloat32IsRoundedToTheNearestBfloat16) {
  const std::string path = Folder() + "/init.safetensors";
  ASSERT_TRUE(Write(path, {{"class_centers", {0, kClasses}}}).ok());
  const auto head = HeadOf({0, kClasses}, head::DataType::kBfloat16);
  ASSERT_TRUE(LoadClassCenters(path, head.get()).ok());
  EXPECT_EQ(WeightsOf(*head), Rows({0, kClasses}));                   // whole numbers below 256 are bfloat16 numbers
  std::vector<float> off(kClasses * kDim, 1.0f + 0x1p-7f + 0x1p-9f);  // a quarter of the way to the next one
  ASSERT_TRUE(WriteSafetensors(path, {TensorView::Of<float>("class_centers", {kClasses, kDim}, off)}).ok());
  ASSERT_TRUE(LoadClassCenters(path, head.get()).ok());
  EXPECT_EQ(WeightsOf(*head), std::vector<float>(kClasses * kDim, 1.0f + 0x1p-7f));
}

TEST(ClassCentersTest, AnEmptyRangeLeavesNoFile) {
  const std::string folder = Folder();
  ASSERT_TRUE(SaveClassCenters(RealFileSystem(), folder, {1, 1}, *HeadOf({3, 3})).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// The process was stopped for a while.
TEST(ClassCentersTest, RowsThatALaterViewHasWrittenStay) {
  const std::string run = Folder() + "/run";
  const std::string path = run + "/model/class_centers-3-7.safetensors";
  const auto head = HeadOf({3, 7});
  ASSERT_TRUE(SaveClassCenters(RealFileSystem(), run, {2, 3}, *head).ok());
  const std::vector<float> written = WeightsOf(*head);
  ASSERT_TRUE(head->WriteWeights({3, 7}, {Rows({3, 7}).data(), 4, kDim}).ok());
  const absl::Status status = SaveClassCenters(RealFileSystem(), run, {2, 2}, *head);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(*SafetensorsFile::Open(path)->Read<float>("class_centers.3-7"), written);
  ASSERT_TRUE(SaveClassCenters(RealFileSystem(), run, {2, 4}, *head).ok());
  EXPECT_EQ(*SafetensorsFile::Open(path)->Read<float>("class_centers.3-7"), Rows({3, 7}));
}

}  // namespace
}  // namespace arcshard::shard
