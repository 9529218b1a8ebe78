#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/testing/fake_clock.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "coordinator/service/testing/coordinator_service_test_kit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The coordinator over real gRPC: what Run decides reaches the right streams, and streams that end reach Run.
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(CoordinatorServiceTest, CarriesAWholeRunFromRegistrationToItsOrderlyEnd) {
  BeginTraining();
  EXPECT_EQ(Step(1).next().action(), v1::Next::ACTION_STEP);
  EXPECT_EQ(Step(2).next().action(), v1::Next::ACTION_EVALUATE);
  worker_->ReportEvaluation();
  for (Peer* peer : {shard_.get(), worker_.get()}) {
    EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kProceed).proceed().next().action(), v1::Next::ACTION_STOP);
    peer->Finish();
  }
  EXPECT_TRUE(shard_->ReadToEnd().ok());
  EXPECT_TRUE(worker_->ReadToEnd().ok());
  EXPECT_TRUE(AwaitEnd().ok());
  EXPECT_EQ(metrics_.messages.With(kReceived).Value(), 12.0);
  EXPECT_EQ(metrics_.messages.With(kSent).Value(), 12.0);
}

TEST_F(CoordinatorServiceTest, ABrokenStreamIsALossAndWhoComesInItsPlaceTakesPart) {
  BeginTraining();
  worker_->Break();
  while (service_->session()->Status().progress.phase != Phase::kRecovering) std::this_thread::yield();
  worker_ = std::make_unique<Peer>(stub_.get());
  worker_->Register(v1::ROLE_WORKER);
  worker_->Read(v1::CoordinatorMessage::kWelcome);
  worker_->ReportData();
  JoinView();
  EXPECT_EQ(shard_->view().counter(), 2u);
  EXPECT_EQ(Step(1).step(), 1u);
  EXPECT_EQ(metrics_.recoveries.With(kWorkerRole).Value(), 1.0);
}

TEST_F(CoordinatorServiceTest, AStreamThatIsClosedBeforeFinishedIsALoss) {
  BeginTraining();
  shard_->HalfClose();
  while (service_->session()->Status().progress.phase != Phase::kRecovering) std::this_thread::yield();
  shard_ = std::make_unique<Peer>(stub_.get());
  shard_->Register(v1::ROLE_SHARD);
  shard_->Read(v1::CoordinatorMessage::kWelcome);
  JoinView();
}

TEST_F(CoordinatorServiceTest, SilenceIsALossThatATickFindsAndTheSilentMayComeBack) {
  BeginTraining();
  for (int tick = 0; tick < 9; ++tick) {
    clock_.Advance(absl::Seconds(1));
    service_->session()->Tick();
  }
  EXPECT_EQ(shard_->ReadToEnd(), absl::UnavailableError("no sign of life for 9s"));
  EXPECT_EQ(worker_->ReadToEnd(), absl::UnavailableError("no sign of life for 9s"));
  EXPECT_EQ(service_->session()->AwaitEnd(absl::ZeroDuration()), std::nullopt);
  EXPECT_EQ(metrics_.refused_messages.With("UNAVAILABLE").Value(), 0.0) << "nothing was refused";
}

TEST_F(CoordinatorServiceTest, AMemberThatComesBackWithItsTokenHasItsPlace) {
  BeginTraining();
  Step(1);
  v1::ParticipantMessage again = Peer::Registration(v1::ROLE_WORKER);
  again.mutable_register_()->set_id(0);
  again.mutable_register_()->set_token(worker_->token());
  v1::Held* const held = again.mutable_register_()->mutable_held();
  *held->mutable_view() = worker_->view();
  held->add_range_ends(5);
  held->add_workers(0);
  held->set_whole(true);
  *held->mutable_last() = worker_->decision();
  held->mutable_state()->set_step(1);
  held->mutable_state()->set_lineage(worker_->decision().lineage());
  Peer other(stub_.get());
  other.Send(again);
  EXPECT_EQ(worker_->ReadToEnd().code(), absl::StatusCode::kUnavailable) << "it is the same process";
  EXPECT_EQ(other.Read(v1::CoordinatorMessage::kWelcome).welcome().token(), worker_->token());
  other.ReportData();
  const v1::ViewAnnouncement view = other.Read(v1::CoordinatorMessage::kView).view();
  EXPECT_EQ(view.state().step(), 1u);
  EXPECT_EQ(view.last().step(), 1u);
  EXPECT_TRUE(view.workers(0).holds());
  EXPECT_TRUE(view.shards(0).holds());
}

TEST_F(CoordinatorServiceTest, ASpareIsKnownAndWaits) {
  BeginTraining();
  Peer spare(stub_.get());
  v1::ParticipantMessage registration = Peer::Registration(v1::ROLE_SHARD);
  registration.mutable_register_()->set_spare(true);
  spare.Send(registration);
  Step(1);
  shard_->HalfClose();
  EXPECT_EQ(spare.Read(v1::CoordinatorMessage::kWelcome).welcome().id(), 0u);
}

TEST_F(CoordinatorServiceTest, AMessageThatCannotBeReadIsRefusedByItsField) {
  v1::ParticipantMessage no_role;
  no_role.mutable_register_();
  shard_->Send(no_role);
  EXPECT_EQ(shard_->ReadToEnd(),
            absl::InvalidArgumentError("register.role is 0; it must be ROLE_SHARD or ROLE_WORKER"));
  worker_->Send(v1::ParticipantMessage());
  EXPECT_EQ(worker_->ReadToEnd().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(service_->session()->AwaitEnd(absl::ZeroDuration()), std::nullopt);  // neither was a member
  EXPECT_EQ(metrics_.refused_messages.With("INVALID_ARGUMENT").Value(), 2.0);
}

TEST_F(CoordinatorServiceTest, AMessageLargerThanAnyParticipantSendsEndsOnlyItsStream) {
  Peer stranger(stub_.get());
  v1::ParticipantMessage large;
  large.mutable_failure()->set_sentence(std::string(kMaxParticipantMessageBytes, 'x'));
  stranger.Send(large);
  EXPECT_EQ(stranger.ReadToEnd().code(), absl::StatusCode::kResourceExhausted);
  BeginTraining();
}

TEST_F(CoordinatorServiceTest, StreamsThatNeverRegisterMakeRoomForThoseThatDo) {
  std::vector<std::unique_ptr<v1::Coordinator::Stub>> stubs;
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 80; ++i) {
    if (i % kMostStreams == 0) stubs.push_back(StubOfItsOwn());
    silent.push_back(std::make_unique<Peer>(stubs.back().get()));
  }
  EXPECT_EQ(silent.front()->ReadToEnd().code(), absl::StatusCode::kResourceExhausted);
  shard_ = std::make_unique<Peer>(stub_.get());
  worker_ = std::make_unique<Peer>(stub_.get());
  BeginTraining();
  EXPECT_EQ(Step(1).next().action(), v1::Next::ACTION_STEP);
  silent.clear();
}

TEST_F(CoordinatorServiceTest, AParticipantThatRegistersAndHangsUpLeavesItsPlace) {
  worker_->Register(v1::ROLE_WORKER);
  worker_->Read(v1::CoordinatorMessage::kWelcome);
  worker_->HalfClose();
  while (!service_->session()->Status().members.empty()) std::this_thread::yield();
  worker_ = std::make_unique<Peer>(stub_.get());
  BeginTraining();
}

TEST_F(CoordinatorServiceTest, AVoteWithoutAViewEndsTheRunWithItsSentence) {
  BeginTraining();
  v1::ParticipantMessage vote;
  vote.mutable_ready()->set_step(1);
  shard_->Send(vote);
  EXPECT_EQ(shard_->ReadToEnd(), absl::InvalidArgumentError("ready.view is missing"));
  EXPECT_EQ(worker_->ReadToEnd(), absl::AbortedError("shard 0 (pid 123 on host): ready.view is missing"));
}

TEST_F(CoordinatorServiceTest, ASentenceTooLongForAStatusIsCut) {
  BeginTraining();
  v1::ParticipantMessage failure;
  failure.mutable_failure()->set_sentence(std::string(100'000, 'x'));
  failure.mutable_failure()->set_code(static_cast<int>(absl::StatusCode::kInternal));
  worker_->Send(failure);
  const absl::Status told = shard_->ReadToEnd();
  EXPECT_EQ(told.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(told.message().size(), 2004u);
}

TEST_F(CoordinatorServiceTest, ClosesStreamsThatNeverRegisteredWhenTheRunEnds) {
  Peer stranger(stub_.get());
  BeginTraining();
  worker_->Fail("no memory");
  EXPECT_EQ(stranger.ReadToEnd().code(), absl::StatusCode::kAborted);
}

TEST_F(CoordinatorServiceTest, StopEndsTheRunAfterTheStepInProgress) {
  BeginTraining();
  for (int repeat = 0; repeat < 2; ++repeat) {
    grpc::ClientContext context;
    v1::StopResponse response;
    EXPECT_TRUE(stub_->Stop(&context, v1::StopRequest(), &response).ok());
  }
  EXPECT_EQ(Step(1).next().action(), v1::Next::ACTION_STOP);
  shard_->Finish();
  worker_->Finish();
  EXPECT_TRUE(AwaitEnd().ok());
}

TEST_F(CoordinatorServiceTest, GetStatusTellsOfEveryMember) {
  BeginTraining();
  v1::ParticipantMessage heartbeat;
  heartbeat.mutable_heartbeat()->mutable_stats()->set_resident_bytes(12345);
  v1::PhaseTime* phase = heartbeat.mutable_heartbeat()->mutable_stats()->add_phases();
  phase->set_name("pass_1");
  phase->set_count(4);
  phase->set_seconds(2.0);
  shard_->Send(heartbeat);
  Step(1);  // by then the heartbeat has arrived
  grpc::ClientContext context;
  v1::RunStatus status;
  ASSERT_TRUE(stub_->GetStatus(&context, v1::StatusRequest(), &status).ok());
  EXPECT_EQ(status.progress().step(), 1u);
  EXPECT_EQ(status.num_classes(), 5);
  EXPECT_EQ(status.view().incarnation(), 3u);
  EXPECT_EQ(status.coordinator().pid(), getpid());
  EXPECT_GT(status.coordinator().resident_bytes(), 0u);
  ASSERT_EQ(status.coordinator().phases_size(), 1);
  EXPECT_EQ(status.coordinator().phases(0).count(), 1u);
  ASSERT_EQ(status.members_size(), 2);
  const v1::MemberStatus& shard = status.members(0);
  EXPECT_EQ(shard.role(), v1::ROLE_SHARD);
  EXPECT_EQ(shard.pid(), 123);
  EXPECT_EQ(shard.address(), "host:1");
  EXPECT_EQ(shard.range().end(), 5);
  EXPECT_EQ(shard.resident_bytes(), 12345u);
  ASSERT_EQ(shard.recent_phases_size(), 1);
  EXPECT_EQ(shard.recent_phases(0).count(), 4u);
  EXPECT_EQ(status.members(1).role(), v1::ROLE_WORKER);
}

TEST_F(CoordinatorServiceTest, WhatAHeartbeatSaysTooMuchIsLeftOutAndCounted) {
  BeginTraining();
  v1::ParticipantMessage heartbeat;
  for (int i = 0; i < 33; ++i) heartbeat.mutable_heartbeat()->mutable_stats()->add_phases()->set_name("pass_1");
  shard_->Send(heartbeat);
  Step(1);  // by then the heartbeat has arrived
  EXPECT_EQ(metrics_.odd_figures.Value(), 1.0);
}

TEST_F(CoordinatorServiceTest, AVerificationThatSaysTooMuchIsTakenAndCounted) {
  BeginTraining();
  Step(1);
  EXPECT_EQ(Step(2).next().action(), v1::Next::ACTION_EVALUATE);
  v1::ParticipantMessage message;
  *message.mutable_evaluated()->mutable_view() = worker_->view();
  v1::Verification* const set = message.mutable_evaluated()->add_sets();
  set->set_name("omniglot");
  for (int i = 0; i < 17; ++i) set->add_accept_rates()->set_far(1e-3);
  worker_->Send(message);
  EXPECT_EQ(worker_->Read(v1::CoordinatorMessage::kProceed).proceed().next().action(), v1::Next::ACTION_STOP);
  EXPECT_EQ(metrics_.odd_figures.Value(), 1.0);
}

// --- Watch

TEST_F(CoordinatorServiceTest, AWatcherGetsTheLatestReportAtOnceAndTheLastOneAtTheEnd) {
  grpc::ClientContext context;
  context.set_deadline(DeadlineIn(kCallLimit));
  const auto watch = stub_->Watch(&context, v1::WatchRequest());
  v1::Progress progress;
  ASSERT_TRUE(watch->Read(&progress));
  EXPECT_EQ(progress.phase(), v1::Progress::PHASE_GATHERING);
  EXPECT_EQ(progress.waiting_for(), "waiting for 1 of 1 shard and 1 of 1 worker");
  BeginTraining();
  Step(1);
  worker_->Fail("no memory");
  while (watch->Read(&progress)) {
  }
  EXPECT_TRUE(watch->Finish().ok());
  EXPECT_EQ(progress.phase(), v1::Progress::PHASE_FAILED);
  EXPECT_EQ(progress.step(), 1u);
  EXPECT_EQ(progress.loss(), 2.5);
  EXPECT_THAT(progress.waiting_for(), HasSubstr("worker 0 (pid 123 on host): no memory"));
}

TEST_F(CoordinatorServiceTest, AWatcherAfterTheEndGetsTheLastReport) {
  service_->session()->RequestStop();
  EXPECT_TRUE(AwaitEnd().ok());
  grpc::ClientContext context;
  const auto watch = stub_->Watch(&context, v1::WatchRequest());
  std::vector<v1::Progress> reports;
  v1::Progress progress;
  while (watch->Read(&progress)) reports.push_back(progress);
  EXPECT_TRUE(watch->Finish().ok());
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].phase(), v1::Progress::PHASE_FINISHED);
}

TEST_F(CoordinatorServiceTest, WatchersThatComeAndGoOrDoNotReadHarmNobody) {
  grpc::ClientContext idle_context;
  idle_context.set_deadline(DeadlineIn(kCallLimit));
  const auto idle = stub_->Watch(&idle_context, v1::WatchRequest());
  std::vector<std::thread> watchers;
  for (int i = 0; i < 4; ++i) {
    watchers.emplace_back([this] {
      const auto stub = StubOfItsOwn();
      for (int round = 0; round < 20; ++round) {
        grpc::ClientContext context;
        const auto watch = stub->Watch(&context, v1::WatchRequest());
        v1::Progress progress;
        watch->Read(&progress);
        context.TryCancel();
      }
    });
  }
  BeginTraining();
  Step(1);
  Step(2);
  for (std::thread& watcher : watchers) watcher.join();
  shard_->Fail("no memory");
  v1::Progress last;
  while (idle->Read(&last)) {
  }
  EXPECT_EQ(last.phase(), v1::Progress::PHASE_FAILED);
}

}  // namespace
}  // namespace arcshard::coordinator
