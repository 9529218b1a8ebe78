#include "common/rpc/convert_reports.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

const ParticipantStats kStats = {1 << 30, 1 << 20, {{"forward", 17, 1.5}, {"pass_1", 3, 0.25}}};

std::string ErrorOf(const v1::ParticipantStats& message) { return std::string(FromProto(message).status().message()); }

TEST(ConvertReportsTest, EveryValueSurvivesTheRoundTrip) {
  EXPECT_EQ(*FromProto(ToProto(kStats)), kStats);
  const VerificationReport report = {"lfw", 0.93, 0.01, 1.25, 6000, 22.5, 0.94, 1.3, 3000, {{1e-3, 0.8, 3}}};
  EXPECT_EQ(*FromProto(ToProto(report)), report);
}

TEST(ConvertReportsTest, MorePhasesThanThereCanBeAreRefused) {
  v1::ParticipantStats message = ToProto(kStats);
  while (message.phases_size() < 32) *message.add_phases() = ToProto(kStats.phases[0]);
  EXPECT_TRUE(FromProto(message).ok());
  *message.add_phases() = ToProto(kStats.phases[0]);
  EXPECT_EQ(ErrorOf(message), "heartbeat.stats.phases has 33 entries; at most 32 are taken");
}

TEST(ConvertReportsTest, ANameThatIsNoneIsRefused) {
  for (const std::string& name : {std::string(), std::string(33, 'a'), std::string("a\x1b[2J"), std::string("A")}) {
    v1::ParticipantStats message = ToProto(kStats);
    message.mutable_phases(1)->set_name(name);
    EXPECT_THAT(ErrorOf(message), HasSubstr("has a name that is")) << name;
  }
}

TEST(ConvertReportsTest, SecondsThatCannotBeAreRefused) {
  for (const double seconds :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    v1::ParticipantStats message = ToProto(kStats);
    message.mutable_phases(1)->set_seconds(seconds);
    EXPECT_THAT(ErrorOf(message), HasSubstr("the seconds of pass_1 are")) << seconds;
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
  message.set_seconds(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(error(message), HasSubstr("checkpoint.seconds"));
}

TEST(ConvertReportsTest, MoreAcceptRatesThanTakenAreRefused) {
  v1::Verification message;
  for (int i = 0; i < 17; ++i) message.add_accept_rates();
  EXPECT_THAT(std::string(FromProto(message).status().message()), HasSubstr("17 entries; at most 16"));
}

}  // namespace
}  // namespace arcshard
