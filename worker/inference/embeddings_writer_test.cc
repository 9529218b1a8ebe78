#include "worker/inference/embeddings_writer.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::string NamesIn(const SafetensorsFile& file) {
  const std::vector<uint8_t> bytes = file.Read<uint8_t>("names").value_or(std::vector<uint8_t>{});
  return std::string(bytes.begin(), bytes.end());
}

TEST(EmbeddingsWriterTest, RowsComeOutAsTheyWentIn) {
  const TestFolder folder;
  const std::string path = folder.Path("out.safetensors");
  auto writer = EmbeddingsWriter::Create(path, 3);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Append({1, 2, 3}, 7, "a/b.jpg").ok());
  ASSERT_TRUE((*writer)->Append({4, 5, 6}, -1, "say \"c\"\n\xff").ok());
  EXPECT_EQ((*writer)->rows(), 2);
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE((*writer)->Finish({{"flip", "true"}}).ok());

  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("flip"), "true");
  EXPECT_THAT(*file->Read<float>("embeddings"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(file->entries().at("embeddings").shape, ElementsAre(2, 3));
  EXPECT_THAT(*file->Read<int64_t>("labels"), ElementsAre(7, -1));
  EXPECT_EQ(NamesIn(*file), "[\"a/b.jpg\",\"say \\\"c\\\"\\n\xef\xbf\xbd\"]");
}

TEST(EmbeddingsWriterTest, MoreThanABufferHoldsIsKeptInOrder) {
  const TestFolder folder;
  constexpr int64_t kDim = 300, kRows = 2000;  // 2.4 MB
  auto writer = EmbeddingsWriter::Create(folder.Path("out.safetensors"), kDim);
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (int64_t row = 0; row < kRows; ++row) {
    ASSERT_TRUE((*writer)->Append(std::vector<float>(kDim, static_cast<float>(row)), row, "x").ok());
  }
  ASSERT_TRUE((*writer)->Finish({}).ok());
  const auto file = SafetensorsFile::Open(folder.Path("out.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto embeddings = file->Read<float>("embeddings");
  ASSERT_THAT(*embeddings, SizeIs(kRows * kDim));
  for (int64_t row = 0; row < kRows; ++row) ASSERT_EQ((*embeddings)[row * kDim + row % kDim], static_cast<float>(row));
  EXPECT_EQ(file->Read<int64_t>("labels")->back(), kRows - 1);
}

TEST(EmbeddingsWriterTest, NothingIsLeftBehindWithoutFinish) {
  const TestFolder folder;
  {
    auto writer = EmbeddingsWriter::Create(folder.Path("out.safetensors"), 1);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Append({1}, 0, "a").ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(EmbeddingsWriterTest, ARowOfAnotherLengthOrNowhereToWriteIsRefused) {
  const TestFolder folder;
  auto writer = EmbeddingsWriter::Create(folder.Path("out.safetensors"), 2);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ((*writer)->Append({1, 2, 3}, 0, "a").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EmbeddingsWriter::Create(folder.Path("none/out"), 2).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace arcshard::worker
