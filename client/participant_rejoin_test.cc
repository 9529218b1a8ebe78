#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/participant.h"
#include "client/rejoin.h"
#include "client/testing/event_recorder.h"
#include "client/testing/fake_coordinator.h"
#include "common/base/testing/fake_clock.h"
#include "common/base/testing/open_resources.h"
#include "common/rpc/endpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// What a participant does when it loses its coordinator.
namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Kind = v1::ParticipantMessage;

constexpr char kCancelled[] = "CANCELLED: the participant leaves";

class ParticipantRejoinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    recorder_.on_detached = [this] {
      if (attaches_at_once_) current_.load()->Attach(Again());
    };
    coordinator_.AnswerWith(WelcomeOf(1));
    StartServer("127.0.0.1:0");
  }
  void TearDown() override {
    participant_.reset();
    server_.reset();
  }

  static Welcome WelcomeOf(uint64_t incarnation) {
    return {.id = 3, .config_yaml = "", .incarnation = incarnation, .heartbeat_interval = absl::Seconds(1)};
  }
  // With the token of the last Welcome, and some state.
  static Registration Again(uint32_t id = 3) {
    HeldState held;
    held.state = {17, 170};
    Registration registration;
    registration.role = Role::kWorker;
    registration.address = "w:1";
    registration.held = held;
    registration.id = id;
    registration.token = "secret";
    return registration;
  }

  void StartServer(const std::string& listen) {
    auto server = RpcServer::Start(listen, {&coordinator_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = server_->address();
  }

  std::unique_ptr<Participant> Attend(EventRecorder* recorder, bool spare = false) {
    ParticipantOptions options;
    options.coordinator = address_;
    options.registration.role = spare ? Role::kShard : Role::kWorker;
    options.registration.spare = spare;
    options.clock = &clock_;
    options.metrics = &metrics_;
    options.departure = &departure_;
    options.stats = [this] {
      ++beats_;
      return ParticipantStats{.resident_bytes = 7};
    };
    auto participant = Participant::Attend(options, recorder);
    EXPECT_TRUE(participant.ok()) << participant.status();
    current_ = participant->get();
    return *std::move(participant);
  }
  // Attends with recorder_, and waits for the Welcome.
  void Attend() {
    participant_ = Attend(&recorder_);
    recorder_.Await(1);
  }

  void Lose(size_t stream) { coordinator_.Close(stream, absl::UnavailableError("taken for dead")); }
  // Lets the pause before the next attempt pass.
  void Pause() { clock_.Advance(Rejoin::kLongestPause); }
  // Advances the clock from one heartbeat to the next, of which the participant has taken notice by then.
  void AdvanceBeats(int beats) {
    for (int i = 0; i < beats; ++i) {
      const int before = beats_;
      clock_.Advance(absl::Seconds(1));
      while (beats_ == before) std::this_thread::yield();
    }
  }
  // Sends a sign of life, and waits until the participant has heard it.
  void SendPulse(size_t stream) {
    const double before = metrics_.messages.With(kReceived).Value();
    coordinator_.Send(stream, Pulse{});
    coordinator_.Send(stream, Pulse{});  // is counted after the first was heard
    while (metrics_.messages.With(kReceived).Value() < before + 2) std::this_thread::yield();
  }

  std::string Lost(const std::string& reason) {
    return absl::StrCat("detached UNAVAILABLE: lost the coordinator at ", address_, " (", reason, ")");
  }
  std::string GivenUp(const std::string& time) {
    return absl::StrCat("lost the coordinator at ", address_, " and could not reach it again for ", time);
  }

  FakeClock clock_;
  MetricRegistry registry_;
  ProcessMetrics metrics_{&registry_, nullptr};
  std::atomic<int> beats_ = 0;
  std::atomic<bool> attaches_at_once_ = false;  // in OnDetached
  std::atomic<Participant*> current_ = nullptr;
  Departure departure_;
  FakeCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
  EventRecorder recorder_;
  std::unique_ptr<Participant> participant_;
};

// --- Losses

TEST_F(ParticipantRejoinTest, ALossDetachesOnceAndAttachRegistersAgainWithWhatIsHeld) {
  Attend();
  Lose(0);
  EXPECT_EQ(recorder_.AwaitLast(2), Lost("taken for dead"));
  participant_->Send(DatasetReport{});  // is dropped
  participant_->Attach(Again());
  Pause();
  const v1::Register registration = coordinator_.AwaitRegistration(1);
  EXPECT_EQ(registration.id(), 3u);
  EXPECT_EQ(registration.token(), "secret");
  EXPECT_EQ(registration.held().state().step(), 17u);
  EXPECT_EQ(registration.pid(), getpid());
  EXPECT_NE(registration.host(), "");
  EXPECT_THAT(recorder_.Await(3), ElementsAre("welcome 3", Lost("taken for dead"), "welcome 3"));
  participant_->Send(JoinedReport{{1, 1}});
  coordinator_.Await(1, Kind::kJoined);
  EXPECT_EQ(coordinator_.Count(1, Kind::kDataset), 0u);
}

TEST_F(ParticipantRejoinTest, EventsComeInOrderFromOneStreamToTheNext) {
  attaches_at_once_ = true;
  Attend();
  coordinator_.Send(0, Decision{{1, 1}, 1, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}}});
  Lose(0);
  recorder_.Await(3);
  Pause();
  coordinator_.AwaitRegistration(1);
  coordinator_.Send(1, Decision{{1, 2}, 2, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}}});
  coordinator_.Send(1, Proceed{{1, 2}, {NextAction::kStop, {}}});
  EXPECT_THAT(recorder_.Await(6),
              ElementsAre("welcome 3", "decision 1", Lost("taken for dead"), "welcome 3", "decision 2", "stop"));
}

TEST_F(ParticipantRejoinTest, NoStreamIsOpenedBeforeTheOwnerHasTakenNoticeOfTheLoss) {
  size_t streams = 0;
  recorder_.on_detached = [&] {
    current_.load()->Attach(Again());
    Pause();
    for (int i = 0; i < 20; ++i) {  // the participant has time for it
      EXPECT_TRUE(AwaitConnected(MakeChannel(address_).get(), "the coordinator", absl::Minutes(5)).ok());
    }
    streams = coordinator_.streams();
  };
  Attend();
  Lose(0);
  recorder_.Await(2);
  EXPECT_EQ(streams, 1u);
  EXPECT_EQ(recorder_.AwaitLast(3), "welcome 3");
}

TEST_F(ParticipantRejoinTest, StatusesOfTheTransportDetachAndVerdictsOfTheCoordinatorEnd) {
  using absl::StatusCode;
  size_t stream = 0;
  const auto end_with = [&](StatusCode code) {
    EventRecorder recorder;
    const auto participant = Attend(&recorder);
    recorder.Await(1);
    coordinator_.Close(stream++, absl::Status(code, "why"));
    return recorder.AwaitLast(2);
  };
  for (const StatusCode lost : {StatusCode::kUnavailable, StatusCode::kCancelled, StatusCode::kDeadlineExceeded,
                                StatusCode::kInternal, StatusCode::kUnknown}) {
    EXPECT_EQ(end_with(lost), Lost("why")) << lost;
  }
  EXPECT_EQ(end_with(StatusCode::kOk), "OK");
  EXPECT_EQ(end_with(StatusCode::kAborted), "ABORTED: why");
  EXPECT_EQ(end_with(StatusCode::kInvalidArgument), "INVALID_ARGUMENT: why");
  EXPECT_EQ(end_with(StatusCode::kFailedPrecondition), "FAILED_PRECONDITION: why");
  EXPECT_EQ(end_with(StatusCode::kPermissionDenied), "PERMISSION_DENIED: why");
  EXPECT_EQ(end_with(StatusCode::kUnauthenticated), "UNAUTHENTICATED: why");
  EXPECT_EQ(end_with(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED: why");
}

TEST_F(ParticipantRejoinTest, ALossBeforeTheFirstWelcomeIsTheEnd) {
  coordinator_.AnswerWith(std::nullopt);
  participant_ = Attend(&recorder_);
  coordinator_.AwaitRegistration(0);
  Lose(0);
  EXPECT_THAT(recorder_.Await(1),
              ElementsAre(absl::StrCat("UNAVAILABLE: lost the coordinator at ", address_, " (taken for dead)")));
}

TEST_F(ParticipantRejoinTest, ASpareComesBackAlthoughItHasWaitedForItsWelcomeForHours) {
  coordinator_.AnswerWith(std::nullopt);
  attaches_at_once_ = false;
  recorder_.on_detached = [this] {
    Registration registration;
    registration.spare = true;
    current_.load()->Attach(registration);
  };
  participant_ = Attend(&recorder_, /*spare=*/true);
  for (size_t stream = 0; stream < 3; ++stream) {
    EXPECT_TRUE(coordinator_.AwaitRegistration(stream).spare());
    // With a sign of life, the time until it gives up begins anew.
    coordinator_.Send(stream, CheckpointSettled{{1, 0}, true});
    recorder_.Await(2 * stream + 1);
    clock_.Advance(absl::Minutes(9));
    if (stream == 2) coordinator_.AnswerWith(WelcomeOf(1));
    Lose(stream);
    recorder_.Await(2 * stream + 2);
  }
  EXPECT_EQ(recorder_.AwaitLast(7), "welcome 3");
}

TEST_F(ParticipantRejoinTest, AWelcomeFromALowerIncarnationIsRefusedAndAnEqualOneIsNot) {
  attaches_at_once_ = true;
  coordinator_.AnswerWith(WelcomeOf(5));
  Attend();
  coordinator_.AnswerWith(WelcomeOf(4));
  Lose(0);
  recorder_.Await(2);
  Pause();
  coordinator_.AwaitRegistration(1);
  coordinator_.Send(1, Proceed{{4, 1}, {NextAction::kStop, {}}});  // is not obeyed
  coordinator_.AwaitEnd(1);
  recorder_.Await(3);
  coordinator_.AnswerWith(WelcomeOf(5));
  Pause();
  EXPECT_THAT(recorder_.Await(4), ElementsAre("welcome 3", Lost("taken for dead"),
                                              absl::StrCat("detached UNAVAILABLE: the coordinator at ", address_,
                                                           " is of incarnation 4; this process obeys none before 5"),
                                              "welcome 3"));
}

TEST_F(ParticipantRejoinTest, TheLastRegistrationBeforeItIsConnectedCounts) {
  Attend();
  server_.reset();
  recorder_.Await(2);
  participant_->Attach(Again(3));
  Pause();
  participant_->Attach(Again(4));
  StartServer(address_);
  EXPECT_EQ(coordinator_.AwaitRegistration(1).id(), 4u);
  participant_->Attach(Again(5));  // has no effect: it is registered
  EXPECT_EQ(recorder_.AwaitLast(3), "welcome 3");
  EXPECT_EQ(coordinator_.streams(), 2u);
}

// --- Silence

TEST_F(ParticipantRejoinTest, SilenceForTheHeartbeatTimeoutDetachesOnce) {
  Attend();
  AdvanceBeats(20);  // without a timeout nothing is silent
  SendPulse(0);
  participant_->SetTimeouts(absl::Seconds(8), absl::Minutes(10));
  AdvanceBeats(7);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(recorder_.AwaitLast(2), Lost("no sign of life for 8s"));
  coordinator_.AwaitEnd(0);
  participant_.reset();
  EXPECT_THAT(recorder_.Await(3), ElementsAre("welcome 3", Lost("no sign of life for 8s"), kCancelled));
}

TEST_F(ParticipantRejoinTest, PulsesAreSignsOfLife) {
  Attend();
  participant_->SetTimeouts(absl::Seconds(8), absl::Minutes(10));
  for (int i = 0; i < 3; ++i) {
    AdvanceBeats(7);
    SendPulse(0);
  }
  AdvanceBeats(7);
  EXPECT_THAT(recorder_.Await(1), ElementsAre("welcome 3"));
}

TEST_F(ParticipantRejoinTest, AProcessThatWasStoppedDoesNotTakeItsOwnSilenceForTheCoordinators) {
  Attend();
  participant_->SetTimeouts(absl::Seconds(8), absl::Minutes(10));
  for (int i = 0; i < 3; ++i) {
    AdvanceBeats(1);
    const int before = beats_;
    clock_.Advance(absl::Seconds(30));  // nothing runs meanwhile
    while (beats_ == before) std::this_thread::yield();
  }
  EXPECT_THAT(recorder_.Await(1), ElementsAre("welcome 3"));
}

TEST_F(ParticipantRejoinTest, ACoordinatorThatAcceptsAndSaysNothingIsGivenUpAfterTheRejoinTimeout) {
  attaches_at_once_ = true;
  Attend();
  participant_->SetTimeouts(absl::Seconds(8), absl::Seconds(20));
  coordinator_.AnswerWith(std::nullopt);
  Lose(0);
  recorder_.Await(2);
  Pause();
  coordinator_.AwaitRegistration(1);  // after 1 s
  AdvanceBeats(7);
  clock_.Advance(absl::Seconds(1));
  coordinator_.AwaitRegistration(2);  // after 9 s
  AdvanceBeats(7);
  clock_.Advance(absl::Seconds(1));
  coordinator_.AwaitRegistration(3);  // after 17 s
  AdvanceBeats(2);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(
      recorder_.Await(6),
      ElementsAre("welcome 3", Lost("taken for dead"), Lost("no sign of life for 8s"), Lost("no sign of life for 8s"),
                  Lost("it has not taken this process in again"), absl::StrCat("UNAVAILABLE: ", GivenUp("20s"))));
}

// --- Coming back, and giving up

TEST_F(ParticipantRejoinTest, ACoordinatorThatIsGoneIsGivenUpAfterTheRejoinTimeout) {
  Attend();
  server_.reset();
  EXPECT_THAT(recorder_.AwaitLast(2), StartsWith("detached UNAVAILABLE: lost the coordinator at " + address_));
  participant_->SetTimeouts(absl::Seconds(8), absl::Minutes(3));
  participant_->Attach(Again());
  clock_.Advance(absl::Minutes(3));
  EXPECT_EQ(recorder_.AwaitLast(3), "UNAVAILABLE: " + GivenUp("3m"));
}

TEST_F(ParticipantRejoinTest, AnOwnerThatDoesNotAttachIsGivenUpToo) {
  Attend();
  Lose(0);
  recorder_.Await(2);
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(recorder_.AwaitLast(3), "UNAVAILABLE: " + GivenUp("10m"));
}

TEST_F(ParticipantRejoinTest, ACoordinatorThatRestartsOnItsAddressIsFoundAndTheNextLossCountsAnew) {
  attaches_at_once_ = true;
  Attend();
  for (size_t restart = 1; restart <= 2; ++restart) {
    coordinator_.AnswerWith(WelcomeOf(1 + restart));
    server_.reset();
    recorder_.Await(2 * restart);
    clock_.Advance(absl::Minutes(9));
    StartServer(address_);
    coordinator_.AwaitRegistration(restart);
    EXPECT_EQ(recorder_.AwaitLast(2 * restart + 1), "welcome 3");
  }
}

TEST_F(ParticipantRejoinTest, HeartbeatsWithTheirStatisticsAreMadeOnlyWhileItIsRegistered) {
  Attend();
  AdvanceBeats(2);
  Lose(0);
  recorder_.Await(2);
  const int before = beats_;
  clock_.Advance(absl::Minutes(9));
  participant_->Attach(Again());
  coordinator_.AwaitRegistration(1);
  EXPECT_EQ(beats_, before);
  AdvanceBeats(1);
  EXPECT_EQ(coordinator_.Await(1, Kind::kHeartbeat).heartbeat().stats().resident_bytes(), 7u);
}

TEST_F(ParticipantRejoinTest, AHundredReturnsLeaveNeitherConnectionsNorThreadsBehind) {
  attaches_at_once_ = true;
  Attend();
  OpenResources before;
  for (size_t stream = 0; stream < 100; ++stream) {
    if (stream == 10) before = OpenResources::Now();
    Lose(stream);
    recorder_.Await(2 * stream + 2);
    Pause();
    coordinator_.AwaitRegistration(stream + 1);
    recorder_.Await(2 * stream + 3);
  }
  EXPECT_TRUE(LevelsOff(before, 20)) << OpenResources::Now() << ", after ten returns " << before;
}

// --- A process that is told to end

// Whoever sees the registration may send the signal at once.
TEST_F(ParticipantRejoinTest, WhoIsToldToEndAsItRegistersTellsTheCoordinator) {
  coordinator_.OnRegistration([this] { EXPECT_TRUE(departure_.Announce("SIGTERM")); });
  Attend();
  EXPECT_EQ(coordinator_.Await(0, Kind::kLeaving).leaving().reason(), "SIGTERM");
  EXPECT_EQ(coordinator_.Count(0, Kind::kLeaving), 1u);
}

TEST_F(ParticipantRejoinTest, WhoIsToldToEndWaitsOnlyAMomentForALostCoordinator) {
  attaches_at_once_ = true;
  Attend();
  server_.reset();
  recorder_.Await(2);
  EXPECT_TRUE(departure_.Announce("SIGTERM"));
  clock_.Advance(Rejoin::kPatienceAtTheEnd);
  EXPECT_EQ(recorder_.AwaitLast(3), absl::StrCat("UNAVAILABLE: told to end by SIGTERM; ", GivenUp("10s")));
}

TEST_F(ParticipantRejoinTest, WhoIsToldToEndWhileTheCoordinatorIsLostTellsItOnceItIsBack) {
  Attend();
  Lose(0);
  recorder_.Await(2);
  EXPECT_TRUE(departure_.Announce("SIGTERM"));
  participant_->Attach(Again());
  Pause();
  EXPECT_EQ(coordinator_.Await(1, Kind::kLeaving).leaving().reason(), "SIGTERM");
  participant_->Send(JoinedReport{{1, 1}});
  coordinator_.Await(1, Kind::kJoined);
  EXPECT_EQ(coordinator_.Count(1, Kind::kLeaving), 1u);
  coordinator_.Close(1, absl::AbortedError("shard 0 was told to end"));
  EXPECT_EQ(recorder_.AwaitLast(4), "ABORTED: shard 0 was told to end");
}

TEST_F(ParticipantRejoinTest, ACoordinatorThatRestartsIsToldAgainOfTheDeparture) {
  attaches_at_once_ = true;
  Attend();
  EXPECT_TRUE(departure_.Announce("SIGTERM"));
  coordinator_.Await(0, Kind::kLeaving);
  Lose(0);
  recorder_.Await(2);
  Pause();
  EXPECT_EQ(coordinator_.Await(1, Kind::kLeaving).leaving().reason(), "SIGTERM");
}

// --- Destruction

TEST_F(ParticipantRejoinTest, ItCanBeDestroyedWhileItIsDetached) {
  Attend();
  Lose(0);
  recorder_.Await(2);
  participant_.reset();
  EXPECT_THAT(recorder_.Await(3), ElementsAre("welcome 3", Lost("taken for dead"), kCancelled));
}

TEST_F(ParticipantRejoinTest, ItCanBeDestroyedWhileItConnects) {
  attaches_at_once_ = true;
  Attend();
  server_.reset();
  recorder_.Await(2);
  Pause();
  participant_.reset();
  EXPECT_EQ(recorder_.AwaitLast(3), kCancelled);
}

TEST_F(ParticipantRejoinTest, ItCanBeDestroyedWhileItsOwnerIsToldOfTheLoss) {
  std::promise<void> told, go;
  recorder_.on_detached = [&] {
    told.set_value();
    go.get_future().wait();
    current_.load()->Attach(Again());
  };
  Attend();
  Lose(0);
  told.get_future().wait();
  std::thread destroyer([this] { participant_.reset(); });
  go.set_value();
  destroyer.join();
  EXPECT_THAT(recorder_.Await(3), ElementsAre("welcome 3", Lost("taken for dead"), kCancelled));
}

TEST_F(ParticipantRejoinTest, ItCanBeDestroyedAtTheMomentOfALoss) {
  for (size_t stream = 0; stream < 50; ++stream) {
    EventRecorder recorder;
    recorder.on_detached = [this] { current_.load()->Attach(Again()); };
    auto participant = Attend(&recorder);
    recorder.Await(1);
    std::thread coordinator([this, stream] { Lose(stream); });
    participant.reset();
    EXPECT_EQ(recorder.ends(), 1);
    coordinator.join();
  }
}

TEST_F(ParticipantRejoinTest, AttachAndSendDoNothingAfterTheEnd) {
  recorder_.on_closed = [this] { current_.load()->Attach(Again()); };
  Attend();
  coordinator_.Close(0, absl::AbortedError("the run is over"));
  recorder_.Await(2);
  participant_->Attach(Again());
  participant_->Send(DatasetReport{});
  Pause();
  participant_.reset();
  EXPECT_EQ(coordinator_.streams(), 1u);
  EXPECT_THAT(recorder_.Await(2), ElementsAre("welcome 3", "ABORTED: the run is over"));
}

}  // namespace
}  // namespace arcshard::client
