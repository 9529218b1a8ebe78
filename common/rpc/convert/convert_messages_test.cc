#include "common/rpc/convert/convert_messages.h"

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

// Expects that a participant receives `said` as it was sent.
template <typename T>
void ExpectHeard(const T& said) {
  const auto heard = FromProto(ToProto(CoordinatorMessage(said)));
  ASSERT_TRUE(heard.ok()) << heard.status();
  ASSERT_TRUE(std::holds_alternative<T>(*heard));
  EXPECT_EQ(std::get<T>(*heard), said);
}

TEST(ConvertMessagesTest, WhatAParticipantSaysSurvivesTheRoundTrip) {
  Registration registration{Role::kWorker, "127.0.0.1:7000", "host-a", 123};
  registration.held = HeldState{.view = {3, 1}, .range_ends = {964}, .workers = {0}, .state = {16, 77}, .whole = true};
  EXPECT_EQ(RoundTrip(registration), registration);
  const DatasetReport dataset{19280, 964, 42};
  EXPECT_EQ(RoundTrip(dataset), dataset);
  const JoinedReport joined = RoundTrip(JoinedReport{{3, 2}, 12000, {16, 77}, 4, 1.5});
  EXPECT_EQ(joined.view, (View{3, 2}));
  EXPECT_EQ(joined.verification_images, 12000u);
  EXPECT_EQ(joined.state, (StatePoint{16, 77}));
  EXPECT_EQ(joined.replayed_steps, 4u);
  EXPECT_EQ(joined.rebuilt_in_seconds, 1.5);
  EXPECT_EQ(joined.odd, 0u);
  ReadyVote vote{{3, 2}, 17, false, 21.5, 0.25, "the loss of micro-batch 2 is not finite", 3, true, false};
  EXPECT_EQ(RoundTrip(vote), vote);
  vote.wants_checkpoint = false;
  vote.log_is_dropped = true;
  EXPECT_EQ(RoundTrip(vote), vote);
  const LostPeersReport lost = RoundTrip(LostPeersReport{{3, 2}, {1, 2}, {0, 4}, "the all-reduce failed"});
  EXPECT_EQ(lost.view, (View{3, 2}));
  EXPECT_THAT(lost.shards, testing::ElementsAre(1, 2));
  EXPECT_THAT(lost.workers, testing::ElementsAre(0, 4));
  EXPECT_EQ(lost.sentence, "the all-reduce failed");
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
  const RunCounters counters{.skipped = 4, .verified_step = 12, .best = {0.93, 12, {"lfw"}}};
  const Next next{NextAction::kStep, {17, 2, 640, {64, 64, 33}}, true};
  ExpectHeard(Install{{3, 2}, next, counters});
  ExpectHeard(Proceed{{3, 2}, {NextAction::kEvaluate, {}}, counters});
  ExpectHeard(Decision{{3, 2}, 16, Outcome::kCommit, 0.05, next, 0x1616, counters});
  ExpectHeard(ViewAnnouncement{.view = {3, 2},
                               .num_classes = 10,
                               .shards = {{0, "127.0.0.1:5000", {0, 10}}},
                               .workers = {{0, "127.0.0.1:6000"}},
                               .state = {16, 77},
                               .base = {16, 77},
                               .checkpoint = "/runs/a/checkpoints/step-00000016.2"});
  ExpectHeard(CheckpointSettled{{16, 77}, true});
  ExpectHeard(CheckpointSettled{{16, 77}, false});
  ExpectHeard(Pulse{});
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
  registration.token = path;
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(registration))).register_().host(), path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(registration))).register_().token(), path);
  const absl::Status error = absl::DataLossError(path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(FailureReport::Of(error)))).failure().sentence(), path);
  EXPECT_EQ(Sent(ToProto(ParticipantMessage(LostPeersReport{{3, 2}, {}, {}, path}))).lost_peers().sentence(), path);
  Install install;
  install.counters.best.sets = {path};
  EXPECT_EQ(Sent(ToProto(CoordinatorMessage(install))).install().counters().best_sets(0), path);
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
  message.mutable_joined();
  EXPECT_EQ(FromProto(message).status().message(), "joined.view is missing");
  message.mutable_lost_peers();
  EXPECT_EQ(FromProto(message).status().message(), "lost_peers.view is missing");
  message.mutable_leaving()->set_reason(std::string(65, 'x'));
  EXPECT_EQ(FromProto(message).status().message(), "leaving.reason has 65 bytes; it must have at most 64");
  message.mutable_register_();
  EXPECT_EQ(FromProto(message).status().message(), "register.role is 0; it must be ROLE_SHARD or ROLE_WORKER");
  v1::CoordinatorMessage from_coordinator;
  from_coordinator.mutable_install();
  EXPECT_EQ(FromProto(from_coordinator).status().message(), "install.view is missing");
  from_coordinator.mutable_checkpoint_settled();
  EXPECT_EQ(FromProto(from_coordinator).status().message(), "checkpoint_settled.state is missing");
}

TEST(ConvertMessagesTest, AHeartbeatIntervalThatCannotBeIsRefused) {
  for (const double seconds : {-1.0, 3601.0, std::numeric_limits<double>::quiet_NaN()}) {
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_interval_seconds(seconds);
    EXPECT_EQ(FromProto(message).status().code(), absl::StatusCode::kInvalidArgument) << seconds;
  }
}

TEST(ConvertMessagesTest, WhatIsInAMessageIsCheckedToo) {
  v1::ParticipantMessage registered;
  registered.mutable_register_()->set_role(v1::ROLE_SHARD);
  registered.mutable_register_()->set_host(std::string(257, 'x'));
  EXPECT_EQ(FromProto(registered).status().message(), "register.host has 257 bytes; at most 256 are taken");
  v1::RunCounters counters;
  counters.set_best_accuracy(std::numeric_limits<double>::quiet_NaN());
  v1::CoordinatorMessage install = ToProto(CoordinatorMessage(Install{{3, 2}, {NextAction::kStop, {}}}));
  *install.mutable_install()->mutable_counters() = counters;
  EXPECT_EQ(FromProto(install).status().message(), "counters.best_accuracy is nan; it must be finite");
  install.mutable_install()->clear_next();
  EXPECT_EQ(FromProto(install).status().message(), "next.action 0 is not known");
  v1::CoordinatorMessage proceed = ToProto(CoordinatorMessage(Proceed{{3, 2}, {NextAction::kStop, {}}}));
  *proceed.mutable_proceed()->mutable_counters() = counters;
  EXPECT_EQ(FromProto(proceed).status().message(), "counters.best_accuracy is nan; it must be finite");
}

TEST(ConvertMessagesTest, ATimeOfARebuildThatCannotBeIsZeroAndCounted) {
  for (const double seconds :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    v1::ParticipantMessage message = ToProto(ParticipantMessage(JoinedReport{{3, 2}, 0, {16, 77}, 4, 1.5}));
    message.mutable_joined()->set_rebuilt_in_seconds(seconds);
    const auto received = FromProto(message);
    ASSERT_TRUE(received.ok()) << received.status();
    const auto& joined = std::get<JoinedReport>(*received);
    EXPECT_EQ(joined.rebuilt_in_seconds, 0) << seconds;
    EXPECT_EQ(joined.odd, 1u) << seconds;
    EXPECT_EQ(joined.replayed_steps, 4u) << seconds;
  }
}

TEST(ConvertMessagesTest, MoreLostPeersThanThereCanBeAreRefused) {
  const auto refusal = [](bool shards, int count) {
    v1::ParticipantMessage message = ToProto(ParticipantMessage(LostPeersReport{{3, 2}, {}, {}, "unreachable"}));
    v1::LostPeers* lost = message.mutable_lost_peers();
    for (int i = 0; i < count; ++i) shards ? lost->add_shards(i) : lost->add_workers(i);
    return std::string(FromProto(message).status().message());
  };
  EXPECT_EQ(refusal(true, 4097), "lost_peers.shards has 4097 entries; at most 4096 are taken");
  EXPECT_EQ(refusal(false, 4097), "lost_peers.workers has 4097 entries; at most 4096 are taken");
  EXPECT_EQ(refusal(true, 4096), "");
}

TEST(ConvertMessagesTest, ALongSentenceIsCutBetweenCharacters) {
  const std::string sentence = std::string(16383, 'x') + "\u00e9\u00e9", cut = std::string(16383, 'x') + " ...";
  EXPECT_EQ(ToProto(ParticipantMessage(FailureReport{sentence, 13})).failure().sentence(), cut);
  EXPECT_EQ(ToProto(ParticipantMessage(LostPeersReport{{3, 2}, {}, {}, sentence})).lost_peers().sentence(), cut);
}

}  // namespace
}  // namespace arcshard
