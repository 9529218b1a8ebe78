#include "client/participant.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <string>
#include <vector>

#include "arcshard/v1/coordinator.grpc.pb.h"
#include "client/testing/event_recorder.h"
#include "common/base/testing/fake_clock.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/convert/convert_messages.h"
#include "common/rpc/convert/convert_views.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/server_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

using Sender = std::shared_ptr<StreamSender<v1::CoordinatorMessage>>;

// A coordinator that sends each of its messages once, as the answer to one of the participant's. Heartbeats that carry
// statistics are answered with Proceed.
class ScriptedHandler final : public StreamHandler<v1::ParticipantMessage> {
 public:
  ScriptedHandler(double heartbeat_interval_seconds, Sender sender)
      : heartbeat_interval_seconds_(heartbeat_interval_seconds), sender_(std::move(sender)) {}

  absl::Status OnMessage(const v1::ParticipantMessage& message) override {
    v1::CoordinatorMessage answer;
    switch (message.message_case()) {
      case v1::ParticipantMessage::kRegister:
        answer.mutable_welcome()->set_id(3);
        answer.mutable_welcome()->set_config_yaml("run:\n  seed: 5\n");
        answer.mutable_welcome()->set_heartbeat_interval_seconds(heartbeat_interval_seconds_);
        break;
      case v1::ParticipantMessage::kDataset:
        *answer.mutable_view() = ToProto(ViewAnnouncement{.view = {1, 1},
                                                          .num_classes = 10,
                                                          .shards = {{0, "a:1", {0, 10}}},
                                                          .workers = {{0, "b:2"}},
                                                          .state = {},
                                                          .base = {}});
        break;
      case v1::ParticipantMessage::kJoined:
        answer = ToProto(CoordinatorMessage(Install{{1, 1}, {NextAction::kEvaluate, {}}}));
        break;
      case v1::ParticipantMessage::kReady:
        answer = ToProto(CoordinatorMessage(Decision{{1, 1}, 1, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}}}));
        break;
      case v1::ParticipantMessage::kEvaluated:
        answer = ToProto(CoordinatorMessage(Proceed{{1, 1}, {NextAction::kStop, {}}}));
        break;
      case v1::ParticipantMessage::kLostPeers:
        sender_->Send(ToProto(CoordinatorMessage(Pulse{})));
        answer = ToProto(CoordinatorMessage(CheckpointSettled{{1, 17}, true}));
        break;
      case v1::ParticipantMessage::kHeartbeat:
        if (message.heartbeat().stats().resident_bytes() != 7) return absl::OkStatus();
        answer = ToProto(CoordinatorMessage(Proceed{{1, 1}, {NextAction::kEvaluate, {}}}));
        break;
      case v1::ParticipantMessage::kFailure:
        return absl::AbortedError(message.failure().sentence());
      case v1::ParticipantMessage::kLeaving:
        return absl::AbortedError(absl::StrCat("told to end by ", message.leaving().reason()));
      case v1::ParticipantMessage::kFinished:
        sender_->Close(absl::OkStatus());
        return absl::OkStatus();
      default:
        return absl::OkStatus();
    }
    sender_->Send(std::move(answer));
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status&) override {}

 private:
  const double heartbeat_interval_seconds_;
  const Sender sender_;
};

class ScriptedCoordinator final : public v1::Coordinator::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext*) override {
    return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start([this](Sender sender) {
      return std::make_unique<ScriptedHandler>(heartbeat_interval_seconds, std::move(sender));
    });
  }

  std::atomic<double> heartbeat_interval_seconds = 0.001;  // that the Welcome sets
};

class ParticipantTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = *RpcServer::Start("127.0.0.1:0", {&service_});
    auto participant = Participant::Attend(Options(), &recorder_);
    ASSERT_TRUE(participant.ok()) << participant.status();
    participant_ = *std::move(participant);
  }

  ParticipantOptions Options() {
    ParticipantOptions options;
    options.coordinator = server_->address();
    options.registration.role = Role::kWorker;
    options.clock = &clock_;
    return options;
  }

  const SystemClock clock_;
  ScriptedCoordinator service_;
  std::unique_ptr<RpcServer> server_;
  EventRecorder recorder_;
  std::unique_ptr<Participant> participant_;
};

TEST_F(ParticipantTest, AWholeLifeArrivesInOrder) {
  recorder_.Await(1);
  participant_->Send(DatasetReport{});
  participant_->Send(JoinedReport{{1, 1}});
  participant_->Send(ReadyVote{{1, 1}, 1});
  participant_->Send(EvaluationReport{});
  participant_->Send(LostPeersReport{{1, 1}, {0}, {}, "shard 0 does not answer"});
  participant_->Send(FinishedReport{});
  EXPECT_THAT(recorder_.Await(7),
              ElementsAre("welcome 3", "view 1.1", "install view 1.1", "decision 1", "stop", "settled 1", "OK"));
}

TEST_F(ParticipantTest, AFailureComesBackAsTheEndOfTheRun) {
  participant_->Send(FailureReport::Of(absl::DataLossError("train.rec: truncated")));
  EXPECT_EQ(recorder_.AwaitLast(2), "ABORTED: train.rec: truncated");
}

TEST_F(ParticipantTest, ADepartureIsToldToTheCoordinatorWhileTheProcessAttends) {
  Departure departure;
  EXPECT_FALSE(departure.Announce("SIGINT"));
  EventRecorder recorder;
  ParticipantOptions options = Options();
  options.departure = &departure;
  auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_TRUE(departure.Announce("SIGTERM"));
  EXPECT_EQ(recorder.AwaitLast(2), "ABORTED: told to end by SIGTERM");
  participant->reset();
  EXPECT_TRUE(departure.Announce("SIGTERM")) << "the process is ending";
}

TEST_F(ParticipantTest, AVanishedCoordinatorIsNamed) {
  recorder_.Await(1);
  const std::string address = server_->address();
  server_.reset();
  EXPECT_THAT(recorder_.AwaitLast(2), StartsWith("detached UNAVAILABLE: lost the coordinator at " + address));
}

TEST_F(ParticipantTest, AnEventThatFailsIsTheEndAndNotALoss) {
  EventRecorder recorder;
  recorder.answer = absl::InternalError("the lineages differ");
  auto participant = Participant::Attend(Options(), &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_THAT(recorder.Await(2), ElementsAre("welcome 3", "INTERNAL: the lineages differ"));
}

TEST_F(ParticipantTest, HeartbeatsComeAtTheCoordinatorsIntervalWithWhatTheProcessSaysOfItself) {
  EventRecorder recorder;
  ParticipantOptions options = Options();
  options.heartbeat_interval = absl::Hours(1);  // until the Welcome
  options.stats = [] { return ParticipantStats{.resident_bytes = 7}; };
  const auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_EQ(recorder.AwaitLast(3), "evaluate");
}

TEST_F(ParticipantTest, AHeartbeatIsDueAnIntervalAfterTheLastOneByTheClock) {
  service_.heartbeat_interval_seconds = 3600;
  FakeClock clock;
  std::atomic<int> heartbeats = 0;
  EventRecorder recorder;
  ParticipantOptions options = Options();
  options.clock = &clock;
  options.stats = [&heartbeats] {
    ++heartbeats;
    return ParticipantStats{.resident_bytes = 7};
  };
  const auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_EQ(recorder.Await(1).size(), 1u);
  clock.Advance(absl::Minutes(59));
  EXPECT_EQ(heartbeats, 0);
  clock.Advance(absl::Minutes(1));
  EXPECT_EQ(recorder.AwaitLast(2), "evaluate");
  EXPECT_EQ(heartbeats, 1);
  clock.Advance(absl::Minutes(59));
  EXPECT_EQ(heartbeats, 1);
  clock.Advance(absl::Minutes(1));
  EXPECT_EQ(recorder.AwaitLast(3), "evaluate");
  EXPECT_EQ(heartbeats, 2);
}

TEST_F(ParticipantTest, AHeartbeatComesAtItsTimeAlthoughTheDateIsSet) {
  service_.heartbeat_interval_seconds = 3600;
  FakeClock clock;
  std::atomic<int> heartbeats = 0;
  EventRecorder recorder;
  ParticipantOptions options = Options();
  options.clock = &clock;
  options.stats = [&heartbeats] {
    ++heartbeats;
    return ParticipantStats{.resident_bytes = 7};
  };
  const auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_EQ(recorder.Await(1).size(), 1u);
  clock.SetForward(absl::Hours(24));
  EXPECT_EQ(heartbeats, 0);
  clock.SetBack(absl::Hours(48));
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(recorder.AwaitLast(2), "evaluate");
  EXPECT_EQ(heartbeats, 1);
}

TEST(ParticipantConnectTest, ACoordinatorThatDoesNotAnswerIsNamed) {
  const SystemClock clock;
  ParticipantOptions options;
  options.coordinator = "127.0.0.1:1";
  options.clock = &clock;
  options.connect_timeout = absl::Milliseconds(50);
  EventRecorder recorder;
  EXPECT_THAT(std::string(Participant::Attend(options, &recorder).status().message()),
              StartsWith("waited 50ms for the coordinator at 127.0.0.1:1, which does not answer"));
}

}  // namespace
}  // namespace arcshard::client
