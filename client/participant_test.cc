#include "client/participant.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/testing/fake_clock.h"
#include "common/rpc/convert.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/server_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;

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
        *answer.mutable_view() = ToProto(ViewAnnouncement{{1, 1}, 10, {{0, "a:1", {0, 10}}}, {{0, "b:2"}}, {}, 0});
        break;
      case v1::ParticipantMessage::kJoined:
        *answer.mutable_decision() = ToProto(Decision{{1, 1}, 0, Outcome::kCommit, 0.0, {NextAction::kEvaluate, {}}});
        break;
      case v1::ParticipantMessage::kEvaluated:
        *answer.mutable_proceed()->mutable_next() = ToProto(Next{NextAction::kStop, {}});
        break;
      case v1::ParticipantMessage::kHeartbeat:
        if (message.heartbeat().stats().resident_bytes() != 7) return absl::OkStatus();
        *answer.mutable_proceed()->mutable_next() = ToProto(Next{NextAction::kEvaluate, {}});
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

class Recorder final : public ParticipantEvents {
 public:
  absl::Status OnWelcome(const Welcome& welcome) override {
    return Note(absl::StrCat("welcome ", welcome.id, " ", welcome.config_yaml));
  }
  absl::Status OnView(const ViewAnnouncement& view) override { return Note(ToString(view.view)); }
  absl::Status OnDecision(const Decision& decision) override { return Note(absl::StrCat("decision ", decision.step)); }
  absl::Status OnProceed(const Next& next) override {
    return Note(next.action == NextAction::kStop ? "stop" : "evaluate");
  }
  void OnClosed(const absl::Status& status) override { Note(status.ToString()).IgnoreError(); }

  std::vector<std::string> Await(size_t count) {
    MutexLock lock(&mutex_);
    while (heard_.size() < count) changed_.Wait(&mutex_);
    return heard_;
  }

 private:
  absl::Status Note(std::string what) {
    MutexLock lock(&mutex_);
    heard_.push_back(std::move(what));
    changed_.NotifyAll();
    return absl::OkStatus();
  }
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> heard_ ABSL_GUARDED_BY(mutex_);
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
  Recorder recorder_;
  std::unique_ptr<Participant> participant_;
};

TEST_F(ParticipantTest, AWholeLifeArrivesInOrder) {
  recorder_.Await(1);
  participant_->Send(DatasetReport{});
  participant_->Send(JoinedReport{{1, 1}});
  participant_->Send(EvaluationReport{});
  participant_->Send(FinishedReport{});
  EXPECT_THAT(recorder_.Await(5), ElementsAre("welcome 3 run:\n  seed: 5\n", "view 1.1", "decision 0", "stop", "OK"));
}

TEST_F(ParticipantTest, AFailureComesBackAsTheEndOfTheRun) {
  participant_->Send(FailureReport::Of(absl::DataLossError("train.rec: truncated")));
  EXPECT_EQ(recorder_.Await(2).back(), "ABORTED: train.rec: truncated");
}

TEST_F(ParticipantTest, ADepartureIsToldToTheCoordinatorWhileTheProcessAttends) {
  Departure departure;
  EXPECT_FALSE(departure.Announce("SIGINT"));
  Recorder recorder;
  ParticipantOptions options = Options();
  options.departure = &departure;
  auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_TRUE(departure.Announce("SIGTERM"));
  EXPECT_EQ(recorder.Await(2).back(), "ABORTED: told to end by SIGTERM");
  participant->reset();
  EXPECT_TRUE(departure.Announce("SIGTERM")) << "the process is ending";
}

// Whoever sees the registration may send the signal at once.
class ToldToEndAsItRegisters final : public Participant {
 public:
  explicit ToldToEndAsItRegisters(Departure* departure) : departure_(departure) {}

  void Send(const ParticipantMessage& message) override {
    sent.push_back(message.index());
    if (!std::holds_alternative<Registration>(message)) return;
    told = std::async(std::launch::async, [this] { return departure_->Announce("SIGTERM"); });
  }

  std::vector<size_t> sent;
  std::future<bool> told;

 private:
  Departure* const departure_;
};

TEST(DepartureTest, ASignalThatComesAsTheProcessRegistersIsToldAfterTheRegistration) {
  Departure departure;
  ToldToEndAsItRegisters participant(&departure);
  departure.Begin(&participant, Registration{});
  EXPECT_TRUE(participant.told.get());
  EXPECT_THAT(participant.sent,
              ElementsAre(ParticipantMessage(Registration{}).index(), ParticipantMessage(LeavingReport{}).index()));
}

TEST_F(ParticipantTest, AVanishedCoordinatorIsNamed) {
  recorder_.Await(1);
  const std::string address = server_->address();
  server_.reset();
  EXPECT_EQ(recorder_.Await(2).back(), "UNAVAILABLE: lost the coordinator at " + address);
}

TEST_F(ParticipantTest, HeartbeatsComeAtTheCoordinatorsIntervalWithWhatTheProcessSaysOfItself) {
  Recorder recorder;
  ParticipantOptions options = Options();
  options.heartbeat_interval = absl::Hours(1);  // until the Welcome
  options.stats = [] { return ParticipantStats{.resident_bytes = 7}; };
  const auto participant = Participant::Attend(options, &recorder);
  ASSERT_TRUE(participant.ok()) << participant.status();
  EXPECT_EQ(recorder.Await(3).back(), "evaluate");
}

TEST_F(ParticipantTest, AHeartbeatIsDueAnIntervalAfterTheLastOneByTheClock) {
  service_.heartbeat_interval_seconds = 3600;
  FakeClock clock;
  std::atomic<int> heartbeats = 0;
  Recorder recorder;
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
  EXPECT_EQ(recorder.Await(2).back(), "evaluate");
  EXPECT_EQ(heartbeats, 1);
  clock.Advance(absl::Minutes(59));
  EXPECT_EQ(heartbeats, 1);
  clock.Advance(absl::Minutes(1));
  EXPECT_EQ(recorder.Await(3).back(), "evaluate");
  EXPECT_EQ(heartbeats, 2);
}

TEST_F(ParticipantTest, AHeartbeatComesAtItsTimeAlthoughTheDateIsSet) {
  service_.heartbeat_interval_seconds = 3600;
  FakeClock clock;
  std::atomic<int> heartbeats = 0;
  Recorder recorder;
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
  EXPECT_EQ(recorder.Await(2).back(), "evaluate");
  EXPECT_EQ(heartbeats, 1);
}

TEST(ParticipantConnectTest, ACoordinatorThatDoesNotAnswerIsNamed) {
  const SystemClock clock;
  ParticipantOptions options;
  options.coordinator = "127.0.0.1:1";
  options.clock = &clock;
  options.connect_timeout = absl::Milliseconds(50);
  Recorder recorder;
  EXPECT_THAT(std::string(Participant::Attend(options, &recorder).status().message()),
              testing::StartsWith("waited 50ms for the coordinator at 127.0.0.1:1, which does not answer"));
}

}  // namespace
}  // namespace arcshard::client
