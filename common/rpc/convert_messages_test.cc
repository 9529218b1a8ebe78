#include "common/rpc/convert_messages.h"

#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

template <typename T>
T RoundTrip(const T& said) {
  auto heard = FromProto(ToProto(ParticipantMessage(said)));
  EXPECT_TRUE(heard.ok()) << heard.status();
  return std::get<T>(*heard);
}

TEST(ConvertMessagesTest, WhatAParticipantSaysSurvivesTheRoundTrip) {
  const Registration registration{Role::kWorker, "127.0.0.1:7000", "host-a", 123, 1 << 30, 16, 77, {3, 1}};
  EXPECT_EQ(RoundTrip(registration), registration);
  Registration on_a_gpu = registration;
  on_a_gpu.device_request = {"machine-1", "shard-0", {{"GPU-a", "H100", 1 << 30}, {"GPU-b"}}, "GPU-b", true};
  EXPECT_EQ(RoundTrip(on_a_gpu), on_a_gpu);
  const DatasetReport dataset{19280, 964, 42};
  EXPECT_EQ(RoundTrip(dataset), dataset);
  EXPECT_EQ(RoundTrip(JoinedReport{{3, 2}}).view, (View{3, 2}));
  EXPECT_EQ(RoundTrip(JoinedReport{{3, 2}, 12000}).verification_images, 12000u);
  const ReadyVote vote{{3, 2}, 17, false, 21.5, 0.25, "the loss of micro-batch 2 is not finite", 3};
  EXPECT_EQ(RoundTrip(vote), vote);
  const EvaluationReport report{{3, 2}, {{"unseen_alphabets", 0.93, 0.01, 1.25, 6000, 22.5}}, "lfw: damaged"};
  EXPECT_EQ(RoundTrip(report), report);
  const FailureReport failure = RoundTrip(FailureReport::Of(absl::DataLossError("train.rec: truncated")));
  EXPECT_EQ(failure.cause, FailureCause::kOther);
  EXPECT_EQ(RoundTrip(FailureReport::Of(BlameCheckpoint(absl::DataLossError("damaged")))).cause,
            FailureCause::kCheckpointUnreadable);
  EXPECT_EQ(failure.sentence, "train.rec: truncated");
  EXPECT_EQ(failure.code, static_cast<int>(absl::StatusCode::kDataLoss));
  RoundTrip(FinishedReport{});
  EXPECT_EQ(RoundTrip(LeavingReport{"SIGTERM"}).reason, "SIGTERM");
  EXPECT_EQ(RoundTrip(HeartbeatReport{}).stats, std::nullopt);
  const CheckpointReport written{{3, 2},
                                 17,
                                 {{"backbone.safetensors", FileRecord::kBlockBytes + 1, 7, {8, 9}}},
                                 absl::OkStatus(),
                                 absl::Seconds(2)};
  EXPECT_EQ(RoundTrip(written), written);
  const CheckpointReport failed{{3, 2}, 17, {}, absl::ResourceExhaustedError("the disk is full"), absl::Seconds(1)};
  EXPECT_EQ(RoundTrip(failed), failed);
  const ParticipantStats stats{1 << 30, 1 << 20, {{"pass_1", 3, 0.25}}};
  EXPECT_EQ(RoundTrip(HeartbeatReport{stats}).stats, stats);
}

TEST(ConvertMessagesTest, WhatTheCoordinatorSaysSurvivesTheRoundTrip) {
  const auto welcome = FromProto(ToProto(CoordinatorMessage(Welcome{.id = 3,
                                                                    .config_yaml = "run:\n",
                                                                    .incarnation = 2,
                                                                    .heartbeat_interval = absl::Milliseconds(250),
                                                                    .device = "GPU-a",
                                                                    .token = "a secret"})));
  ASSERT_TRUE(welcome.ok());
  EXPECT_EQ(std::get<Welcome>(*welcome).id, 3u);
  EXPECT_EQ(std::get<Welcome>(*welcome).config_yaml, "run:\n");
  EXPECT_EQ(std::get<Welcome>(*welcome).incarnation, 2u);
  EXPECT_EQ(std::get<Welcome>(*welcome).device, "GPU-a");
  EXPECT_EQ(std::get<Welcome>(*welcome).token, "a secret");
  EXPECT_EQ(std::get<Welcome>(*welcome).heartbeat_interval, absl::Milliseconds(250));
  const auto proceed =
      FromProto(ToProto(CoordinatorMessage(Proceed{.view = {3, 2}, .next = {NextAction::kEvaluate, {}}})));
  ASSERT_TRUE(proceed.ok());
  EXPECT_EQ(std::get<Proceed>(*proceed).next.action, NextAction::kEvaluate);
}

// What the other side parses of the message.
template <typename Message>
Message Sent(const Message& message) {
  Message received;
  EXPECT_TRUE(received.ParseFromString(message.SerializeAsString()));
  return received;
}

TEST(ConvertMessagesTest, PathsNamesAndSentencesNeedNotBeUtf8) {
  const std::string path = "/data/w\xe4/\xff";
  Welcome welcome;
  welcome.config_yaml = path;
  EXPECT_EQ(Sent(ToProto(CoordinatorMessage(welcome))).welcome().config_yaml(), path);
  ViewAnnouncement view;
  view.checkpoint = path;
  EXPECT_EQ(Sent(ToProto(CoordinatorMessage(view))).view().checkpoint(), path);
  Registration registration;
  registration.host = path;
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(registration))).register_().host(), path);
  const absl::Status error = absl::DataLossError(path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(FailureReport::Of(error)))).failure().sentence(), path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(EvaluationReport{{3, 2}, {}, path}))).evaluated().problem(), path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(CheckpointReport{{3, 2}, 17, {}, error}))).checkpoint().error(), path);
  v1::RunStatus status;
  status.set_run_folder(path);
  status.mutable_progress()->set_waiting_for(path);
  EXPECT_EQ(Sent(status).run_folder(), path);
  EXPECT_EQ(Sent(status).progress().waiting_for(), path);
}

TEST(ConvertMessagesTest, WhatAMessageLacksIsNamed) {
  EXPECT_EQ(FromProto(v1::ParticipantMessage()).status().message(),
            "a participant's message is empty or of an unknown kind");
  EXPECT_EQ(FromProto(v1::CoordinatorMessage()).status().message(),
            "the coordinator's message is empty or of an unknown kind");
  v1::ParticipantMessage message;
  message.mutable_ready();
  EXPECT_EQ(FromProto(message).status().message(), "ready.view is missing");
  message.mutable_leaving()->set_reason(std::string(65, 'x'));
  EXPECT_EQ(FromProto(message).status().message(), "leaving.reason has 65 bytes; it must have at most 64");
  message.mutable_register_();
  EXPECT_EQ(FromProto(message).status().message(), "register.role is 0; it must be ROLE_SHARD or ROLE_WORKER");
}

TEST(ConvertMessagesTest, AHeartbeatIntervalThatCannotBeIsRefused) {
  for (const double seconds : {-1.0, 3601.0, std::numeric_limits<double>::quiet_NaN()}) {
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_interval_seconds(seconds);
    EXPECT_EQ(FromProto(message).status().code(), absl::StatusCode::kInvalidArgument) << seconds;
  }
}

TEST(ConvertMessagesTest, ARegistrationThatSaysTooMuchIsRefusedByItsField) {
  const auto refusal = [](const std::function<void(v1::Register*)>& change) {
    v1::ParticipantMessage message;
    message.mutable_register_()->set_role(v1::ROLE_SHARD);
    change(message.mutable_register_());
    return std::string(FromProto(message).status().message());
  };
  const std::string lots(257, 'x');
  EXPECT_THAT(refusal([&](v1::Register* r) { r->set_host(lots); }), testing::HasSubstr("register.host has 257 bytes"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->set_address(lots); }), testing::HasSubstr("register.address has"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->mutable_device_request()->set_machine(lots); }),
              testing::HasSubstr("register.device_request.machine has"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->mutable_device_request()->add_devices()->set_name(lots); }),
              testing::HasSubstr("register.device_request.devices.name has"));
  EXPECT_THAT(refusal([](v1::Register* r) {
                for (int i = 0; i < 257; ++i) r->mutable_device_request()->add_devices();
              }),
              testing::HasSubstr("devices has 257 entries; at most 256"));
}

TEST(ConvertMessagesTest, ALongSentenceOfAFailureIsCutBetweenCharacters) {
  const FailureReport failure{std::string(16383, 'x') + "\u00e9\u00e9", 13};
  const std::string sent = ToProto(ParticipantMessage(failure)).failure().sentence();
  EXPECT_EQ(sent, std::string(16383, 'x') + " ...");
}

}  // namespace
}  // namespace arcshard
