#include "common/rpc/convert/convert_reports.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const double kNoTimes[] = {-0.60028, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()};

const ParticipantStats kStats = {
    .resident_bytes = 1 << 30,
    .held_bytes = 1 << 20,
    .phases = {{"forward", 17, 1.5}, {"pass_1", 3, 0.25}},
    .verified_images = 100,
    .images_to_verify = 12000,
    .log_bytes = 1 << 25,
    .replay_seconds = 7.5,
    .waiting = {
        .view = {3, 7}, .shards = {1, 4}, .workers = {2}, .all_reduce = true, .coordinator = true, .seconds = 2.5}};

TEST(ConvertReportsTest, EveryValueSurvivesTheRoundTrip) {
  EXPECT_EQ(FromProto(ToProto(kStats)), kStats);
  ParticipantStats waits = kStats;
  const Waiting ones[] = {{.view = {3, 7}, .shards = {4}, .seconds = 1.5},
                          {.view = {3, 7}, .workers = {4}, .seconds = 1.5},
                          {.view = {3, 7}, .all_reduce = true, .seconds = 1.5},
                          {.view = {3, 7}, .coordinator = true, .seconds = 1.5}};
  for (const Waiting& one : ones) {
    waits.waiting = one;
    EXPECT_EQ(FromProto(ToProto(waits)), waits);
  }
  waits.waiting = {};
  EXPECT_EQ(FromProto(ToProto(waits)), waits) << "for nobody";
  EXPECT_FALSE(ToProto(waits).has_waiting());
  const VerificationReport report = {"lfw", 0.93, 0.01, 1.25, 6000, 22.5, 0.94, 1.3, 3000, {{1e-3, 0.8, 3}}};
  EXPECT_EQ(FromProto(ToProto(report)), report);
}

TEST(ConvertReportsTest, MorePhasesThanThereCanBeAreLeftOutAndCounted) {
  v1::ParticipantStats message = ToProto(kStats);
  while (message.phases_size() < 34) *message.add_phases() = ToProto(kStats.phases[0]);
  EXPECT_THAT(FromProto(message).phases, SizeIs(32));
  EXPECT_EQ(FromProto(message).odd, 2u);
}

TEST(ConvertReportsTest, APhaseWhoseNameIsNoneIsLeftOutAndCounted) {
  for (const std::string& name : {std::string(), std::string(33, 'a'), std::string("a\x1b[2J"), std::string("A")}) {
    v1::ParticipantStats message = ToProto(kStats);
    message.mutable_phases(1)->set_name(name);
    EXPECT_THAT(FromProto(message).phases, ElementsAre(kStats.phases[0])) << name;
    EXPECT_EQ(FromProto(message).odd, 1u) << name;
  }
}

TEST(ConvertReportsTest, APhaseWhoseSecondsCannotBeIsLeftOutAndCounted) {
  for (const double seconds : kNoTimes) {
    v1::ParticipantStats message = ToProto(kStats);
    message.mutable_phases(0)->set_seconds(seconds);
    const ParticipantStats stats = FromProto(message);
    EXPECT_THAT(stats.phases, ElementsAre(kStats.phases[1])) << seconds;
    EXPECT_EQ(stats.odd, 1u) << seconds;
    EXPECT_EQ(stats.resident_bytes, kStats.resident_bytes) << seconds;
  }
}

TEST(ConvertReportsTest, ATimeOfWaitingOrOfAReplayThatCannotBeIsZeroAndCounted) {
  for (const double seconds : kNoTimes) {
    v1::ParticipantStats message = ToProto(kStats);
    message.mutable_waiting()->set_seconds(seconds);
    ParticipantStats stats = FromProto(message);
    EXPECT_EQ(stats.waiting.seconds, 0) << seconds;
    EXPECT_EQ(stats.odd, 1u) << seconds;
    EXPECT_THAT(stats.waiting.shards, ElementsAre(1, 4)) << seconds;
    message.set_replay_seconds(seconds);
    stats = FromProto(message);
    EXPECT_EQ(stats.replay_seconds, 0) << seconds;
    EXPECT_EQ(stats.odd, 2u) << seconds;
    EXPECT_EQ(stats.log_bytes, kStats.log_bytes) << seconds;
  }
}

TEST(ConvertReportsTest, MoreAwaitedMembersThanThereCanBeAreLeftOutAndCounted) {
  v1::ParticipantStats message = ToProto(kStats);
  while (message.waiting().shards_size() < 4099) message.mutable_waiting()->add_shards(7);
  while (message.waiting().workers_size() < 4098) message.mutable_waiting()->add_workers(7);
  const ParticipantStats stats = FromProto(message);
  EXPECT_THAT(stats.waiting.shards, SizeIs(4096));
  EXPECT_THAT(stats.waiting.workers, SizeIs(4096));
  EXPECT_EQ(stats.odd, 5u);
  EXPECT_TRUE(stats.waiting.all_reduce);
}

TEST(ConvertReportsTest, TheTimeOfACheckpointThatCannotBeIsZeroAndCounted) {
  for (const double seconds : kNoTimes) {
    v1::CheckpointReport message =
        ToProto(CheckpointReport{.view = {1, 1}, .step = 3, .files = {{"optimizer.safetensors", 10, 1, {1}}}});
    message.set_seconds(seconds);
    const absl::StatusOr<CheckpointReport> report = FromProto(message);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->took, absl::ZeroDuration()) << seconds;
    EXPECT_EQ(report->odd, 1u) << seconds;
    EXPECT_THAT(report->files, SizeIs(1)) << seconds;
  }
}

TEST(ConvertReportsTest, FilesOfACheckpointThatCannotBeAreRefused) {
  const CheckpointReport report{{1, 1}, 3, {{"optimizer.safetensors", 10, 1, {1}}}};
  const auto error = [](const v1::CheckpointReport& message) {
    return std::string(FromProto(message).status().message());
  };
  for (const char* name : {"", ".", "..", "../manifest.json", "a/b", ".hidden", "a b"}) {
    v1::CheckpointReport message = ToProto(report);
    message.mutable_files(0)->set_name(name);
    EXPECT_THAT(error(message), HasSubstr("has a name that is")) << name;
  }
  v1::CheckpointReport message = ToProto(report);
  message.mutable_files(0)->set_bytes(FileRecord::kBlockBytes + 1);
  EXPECT_THAT(error(message), HasSubstr("in 1 blocks, not in 2"));
  message = ToProto(report);
  while (message.files_size() < 17) *message.add_files() = message.files(0);
  EXPECT_EQ(error(message), "checkpoint.files has 17 entries; at most 16 are taken");
  message.clear_view();
  EXPECT_EQ(error(message), "checkpoint.view is missing");
}

TEST(ConvertReportsTest, MoreAcceptRatesThanTakenAreLeftOutAndCounted) {
  v1::Verification message;
  message.set_accuracy(0.93);
  for (int i = 0; i < 18; ++i) message.add_accept_rates()->set_tar(i);
  const VerificationReport report = FromProto(message);
  ASSERT_THAT(report.accept_rates, SizeIs(16));
  EXPECT_EQ(report.accept_rates.front().tar, 0);
  EXPECT_EQ(report.accept_rates.back().tar, 15);
  EXPECT_EQ(report.odd, 2u);
  EXPECT_EQ(report.accuracy, 0.93);
}

}  // namespace
}  // namespace arcshard
