// Checkpoints of a ShardProcess: written when the coordinator asks for them, and restored at the start.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/part_writer.h"
#include "common/io/safetensors.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/rpc/convert/convert_reports.h"
#include "shard_server/testing/shard_process_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;

constexpr StatePoint kRestored{17, 0xFACE};

class ShardProcessCheckpointTest : public ShardProcessTest {
 protected:
  CheckpointReport NextReport() {
    const absl::StatusOr<CheckpointReport> report = FromProto(coordinator_.NextMessage().checkpoint());
    EXPECT_TRUE(report.ok()) << report.status();
    return report.value_or(CheckpointReport());
  }
  // A view that goes on from that checkpoint.
  ViewAnnouncement RestoredView(uint64_t counter = 1) const {
    ViewAnnouncement view = ViewOf(10, counter);
    view.state = view.base = kRestored;
    view.checkpoint = CheckpointFolder(folder_, {17, 2});
    return view;
  }
  // Writes the checkpoint of step 17 of incarnation 2: 10 classes of 16 dimensions.
  void WriteCheckpoint(const std::vector<float>& centers, const std::vector<float>& moments) {
    const std::string folder = CheckpointFolder(folder_, {17, 2});
    auto part = PartWriter::Create(
        RealFileSystem(), folder, "class_centers-0-10.safetensors",
        {{"class_centers.0-10", TensorDtype::kF32, {10, 16}}, {"class_moment_0.0-10", TensorDtype::kF32, {10, 16}}},
        {});
    ASSERT_TRUE(part.ok()) << part.status();
    ASSERT_TRUE((*part)->Append("class_centers.0-10", TensorDtype::kF32, Bytes(centers)).ok());
    ASSERT_TRUE((*part)->Append("class_moment_0.0-10", TensorDtype::kF32, Bytes(moments)).ok());
    auto record = (*part)->Finish();
    ASSERT_TRUE(record.ok()) << record.status();
    Manifest manifest;
    manifest.step = kRestored.step;
    manifest.lineage = kRestored.lineage;
    manifest.incarnation = 2;
    manifest.num_classes = 10;
    manifest.embedding_size = 16;
    manifest.files = {*record};
    const absl::Status status = WriteManifest(RealFileSystem(), folder, manifest);
    ASSERT_TRUE(status.ok()) << status;
  }
  static absl::Span<const std::byte> Bytes(const std::vector<float>& values) {
    return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float));
  }
};

TEST_F(ShardProcessCheckpointTest, ACheckpointIsWrittenAndReportedBeforeTheEnd) {
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/true));
  const CheckpointReport report = NextReport();
  EXPECT_EQ(report.view, (View{3, 1}));
  EXPECT_EQ(report.step, 0u);
  EXPECT_TRUE(report.status.ok()) << report.status;
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_EQ(report.files[0].name, "class_centers-4-10.safetensors");
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  const std::string path = CheckpointFolder(folder_, {0, 3}) + "/class_centers-4-10.safetensors";
  EXPECT_EQ(std::filesystem::file_size(path), report.files[0].bytes);
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file->Find("class_moment_0.4-10"))->shape, (std::vector<int64_t>{6, 16}));
}

TEST_F(ShardProcessCheckpointTest, EachCheckpointIsReportedOnce) {
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kEvaluate, /*checkpoint=*/true));
  EXPECT_TRUE(NextReport().status.ok());
  std::filesystem::remove_all(CheckpointFolder(folder_, {0, 3}));
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}, true}});
  EXPECT_TRUE(NextReport().status.ok());
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  EXPECT_TRUE(std::filesystem::exists(CheckpointFolder(folder_, {0, 3}) + "/class_centers-4-10.safetensors"));
}

TEST_F(ShardProcessCheckpointTest, OnAFullDiskTheCheckpointFailsAndTheRunDoesNot) {
  FaultyFileSystem full(RealFileSystem(), FaultKind::kNoSpace, 0);
  options_.files = &full;
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/true));
  const CheckpointReport report = NextReport();
  EXPECT_EQ(report.status.code(), absl::StatusCode::kResourceExhausted) << report.status;
  EXPECT_TRUE(report.files.empty());
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  process_.reset();
}

TEST_F(ShardProcessCheckpointTest, ARunContinuesFromTheCheckpointThatItsViewNames) {
  std::vector<float> centers(10 * 16), moments(10 * 16, 0.5f);
  std::iota(centers.begin(), centers.end(), 1.0f);
  WriteCheckpoint(centers, moments);
  Start();
  coordinator_.SayWelcome(Config());
  Join(RestoredView());
  coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/true));
  EXPECT_EQ(NextReport().step, 17u);
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  const auto file = SafetensorsFile::Open(CheckpointFolder(folder_, {17, 3}) + "/class_centers-4-10.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Read<float>("class_centers.4-10"), std::vector<float>(centers.begin() + 4 * 16, centers.end()));
  EXPECT_EQ(*file->Read<float>("class_moment_0.4-10"), std::vector<float>(6 * 16, 0.5f));
}

TEST_F(ShardProcessCheckpointTest, ACheckpointThatItCannotRestoreEndsItByName) {
  Start();
  coordinator_.SayWelcome(Config());
  const ViewAnnouncement view = RestoredView();
  coordinator_.Say(view);
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr(view.checkpoint));
  EXPECT_EQ(Result().code(), absl::StatusCode::kNotFound);
}

TEST_F(ShardProcessCheckpointTest, ARollbackToACheckpointNeedsNoRestart) {
  std::vector<float> centers(10 * 16, 0.25f), moments(10 * 16, 0.5f);
  WriteCheckpoint(centers, moments);
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kEvaluate));
  Join(RestoredView(2));
  coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/true, {3, 2}));
  const CheckpointReport report = NextReport();
  EXPECT_EQ(report.view, (View{3, 2}));
  EXPECT_EQ(report.step, 17u);
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  // In a folder of the view's own.
  const auto file = SafetensorsFile::Open(CheckpointFolder(folder_, {17, 3, 2}) + "/class_centers-4-10.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Read<float>("class_centers.4-10"), std::vector<float>(6 * 16, 0.25f));
  EXPECT_EQ(*file->Read<float>("class_moment_0.4-10"), std::vector<float>(6 * 16, 0.5f));
}

TEST_F(ShardProcessCheckpointTest, ANewRunTakesItsClassCentersFromTheCheckpointThatTheConfigurationNames) {
  std::vector<float> centers(10 * 16, 0.25f);
  WriteCheckpoint(centers, centers);
  Start();
  coordinator_.SayWelcome(Config() +
                          absl::StrCat("init_from: {checkpoint: '", CheckpointFolder(folder_, {17, 2}), "'}\n"));
  Join(ViewOf(12));
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_TRUE(Result().ok()) << result_;
  const auto file = SafetensorsFile::Open(folder_ + "/model/class_centers-4-12.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<float> values = *file->Read<float>("class_centers.4-12");
  EXPECT_EQ(std::count(values.begin(), values.end(), 0.25f), 6 * 16);
}

}  // namespace
}  // namespace arcshard::shard
