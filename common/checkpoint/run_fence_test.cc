#include "common/checkpoint/run_fence.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPath[] = "/run/model/rows.safetensors";

class RunFenceTest : public ::testing::Test {
 protected:
  RunFenceTest() { EXPECT_TRUE(disk_.CreateFolders("/run/model").ok()); }

  // Writes a file of `view`, with this value. `before_the_end`: what happens while the process is stopped.
  absl::Status Write(const View& view, float value, const std::function<void()>& before_the_end = nullptr) {
    RunFence fence(&disk_, "/run", view);
    SafetensorsMetadata metadata;
    NoteView(view, &metadata);
    ASSIGN_OR_RETURN(SafetensorsWriter writer,
                     SafetensorsWriter::Create(kPath, {{"rows", TensorDtype::kF32, {1}}}, metadata, &fence));
    RETURN_IF_ERROR(writer.Append<float>("rows", {value}));
    if (before_the_end) before_the_end();
    return writer.Finish();
  }
  float Written() {
    auto source = disk_.Open(kPath);
    EXPECT_TRUE(source.ok()) << source.status();
    const auto file = SafetensorsFile::Open(std::shared_ptr<const ByteSource>(*std::move(source)));
    EXPECT_TRUE(file.ok()) << file.status();
    return file->Read<float>("rows")->front();
  }
  // A coordinator starts, the `number`th one.
  void CountStart(absl::string_view number) {
    absl::StatusOr<AtomicFile> file = AtomicFile::Create("/run/incarnation", &disk_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Append(number).ok());
    ASSERT_TRUE(file->Commit().ok());
  }
  std::vector<std::string> FilesOfTheModel() {
    std::vector<std::string> names;
    const absl::StatusOr<std::vector<FileSystem::Entry>> entries = disk_.List("/run/model");
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (!entries.ok()) return names;
    for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    return names;
  }

  MemoryFileSystem disk_;
};

TEST_F(RunFenceTest, AFileOfTheSameViewOrAnOlderOneIsReplaced) {
  for (const View& view : {View{1, 1}, View{1, 1}, View{1, 10}, View{2, 1}}) {
    const float value = static_cast<float>(10 * view.incarnation + view.counter);
    ASSERT_TRUE(Write(view, value).ok());
    EXPECT_EQ(Written(), value);
  }
}

TEST_F(RunFenceTest, AFileOfALaterViewStays) {
  ASSERT_TRUE(Write({2, 3}, 1.0f).ok());
  for (const View& late : {View{2, 2}, View{1, 9}}) {
    const absl::Status status = Write(late, 2.0f);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("rows.safetensors: was written in view 2.3"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(ToString(late)));
  }
  EXPECT_EQ(Written(), 1.0f);
  EXPECT_THAT(FilesOfTheModel(), ElementsAre("rows.safetensors"));
}

TEST_F(RunFenceTest, AFileThatALaterViewWritesMeanwhileStays) {
  const absl::Status status = Write({2, 2}, 2.0f, [this] { ASSERT_TRUE(Write({2, 3}, 1.0f).ok()); });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(Written(), 1.0f);
}

TEST_F(RunFenceTest, OnceALaterCoordinatorHasTheFolderNothingAppears) {
  CountStart("1\n");
  const absl::Status status = Write({1, 7}, 2.0f, [this] { CountStart("2\n"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(status.message(), "/run: is the coordinator's of incarnation 2 now, and this process was in view 1.7");
  EXPECT_THAT(FilesOfTheModel(), IsEmpty()) << "not even a temporary file remains";
  EXPECT_TRUE(Write({2, 1}, 3.0f).ok());
  EXPECT_EQ(Written(), 3.0f);
}

TEST_F(RunFenceTest, AFileThatDoesNotSayItsViewIsReplaced) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(kPath, &disk_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("no safetensors file").ok());
  ASSERT_TRUE(file->Commit().ok());
  ASSERT_TRUE(Write({1, 1}, 1.0f).ok());
  EXPECT_EQ(Written(), 1.0f);
}

TEST_F(RunFenceTest, ANumberOfStartsThatCannotBeReadIsAnError) {
  for (const absl::string_view text : {"", "two", "-1", "1 2"}) {
    CountStart(text);
    const absl::Status status = CheckIncarnation(&disk_, "/run", {1, 1});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/run/incarnation"));
  }
  CountStart(std::string(1000, '0') + "1");
  EXPECT_EQ(CheckIncarnation(&disk_, "/run", {1, 1}).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace arcshard
