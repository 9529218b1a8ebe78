// ShardProcess through several views: members are lost and come back, and so does the coordinator.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/safetensors.h"
#include "common/rpc/convert/convert_registration.h"
#include "shard_server/head_from_config.h"
#include "shard_server/replay/testing/log_peer.h"
#include "shard_server/state/log/record_applier.h"
#include "shard_server/testing/shard_process_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const absl::Status kTakenForDead = absl::UnavailableError("shard 1 was silent for 8s");

class ShardProcessViewsTest : public ShardProcessTest {
 protected:
  v1::Register NextRegistration() {
    const v1::ParticipantMessage message = coordinator_.NextMessage();
    EXPECT_TRUE(message.has_register_()) << message.ShortDebugString();
    return message.register_();
  }
  HeldState HeldBy(const v1::Register& registration) {
    EXPECT_TRUE(registration.has_held());
    const absl::StatusOr<HeldState> held = FromProto(registration.held());
    EXPECT_TRUE(held.ok()) << held.status();
    return held.value_or(HeldState());
  }
  // Starts a process that joins view 3.1 and is in an evaluation.
  void StartAndJoin() {
    Start();
    coordinator_.SayWelcome(Config());
    Join(ViewOf());
    coordinator_.Say(First(NextAction::kEvaluate));
  }
  // Ends the run in `view`, and reads the class centers that the process leaves.
  std::vector<float> StopAndRead(const View& view, ClassRange range) {
    coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/false, view));
    EXPECT_TRUE(coordinator_.NextMessage().has_finished());
    EXPECT_TRUE(Result().ok()) << result_;
    return Centers(range);
  }
  std::vector<float> Centers(ClassRange range) {
    const std::string name = absl::StrCat(range.begin, "-", range.end);
    const auto file = SafetensorsFile::Open(CentersPath(range));
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return {};
    return file->Read<float>(absl::StrCat("class_centers.", name)).value_or(std::vector<float>());
  }
  std::string CentersPath(ClassRange range) const {
    return absl::StrCat(folder_, "/model/class_centers-", range.begin, "-", range.end, ".safetensors");
  }
};

TEST_F(ShardProcessViewsTest, ASecondViewOfTheStateThatItHoldsIsJoinedAtOnce) {
  StartAndJoin();
  const v1::Joined joined = Join(ViewOf(10, 2));
  EXPECT_EQ(joined.replayed_steps(), 0u);
  EXPECT_EQ(joined.rebuilt_in_seconds(), 0.0);
  EXPECT_EQ(metrics_.view.Value(), 2.0);
  EXPECT_EQ(StopAndRead({3, 2}, {4, 10}).size(), 6u * 16);
}

TEST_F(ShardProcessViewsTest, WithAnotherRangeItStartsAnew) {
  StartAndJoin();
  ViewAnnouncement view = ViewOf(10, 2);
  view.shards[0].range.end = view.shards[1].range.begin = 2;
  Join(view);
  EXPECT_EQ(metrics_.classes.Value(), 8.0);
  const std::vector<float> centers = StopAndRead({3, 2}, {2, 10});
  // The first weights depend on the class alone.
  auto head = head::Head::Create(HeadOptionsOf(*ParseRunConfig(Config(), "the test's", {}), 10, {0, 10}, DeviceName{}),
                                 int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  std::vector<float> expected(8 * 16);
  ASSERT_TRUE((*head)->ReadWeights({2, 10}, {expected.data(), 8, 16}).ok());
  EXPECT_EQ(centers, expected);
}

TEST_F(ShardProcessViewsTest, AStopBeforeInstallIsLeftToInstall) {
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});  // has crossed Joined
  Join(ViewOf(10, 2));                                                         // and nothing finished before
  StopAndRead({3, 2}, {4, 10});
}

TEST_F(ShardProcessViewsTest, AfterItHasFinishedItTakesPartInAFurtherView) {
  coordinator_.GoOnAfterTheEnd();
  StartAndJoin();
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  const std::vector<float> centers = Centers({4, 10});
  std::filesystem::remove_all(folder_ + "/model");
  // A member was lost before it had finished: the stop is repeated.
  Join(ViewOf(10, 2));
  coordinator_.Say(First(NextAction::kStop, /*checkpoint=*/false, {3, 2}));
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_EQ(Centers({4, 10}), centers);
  coordinator_.Close(absl::OkStatus());
  EXPECT_TRUE(Result().ok()) << result_;
}

TEST_F(ShardProcessViewsTest, ACoordinatorThatLeavesInAFurtherViewLeavesBeforeTheEnd) {
  coordinator_.GoOnAfterTheEnd();
  StartAndJoin();
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  Join(ViewOf(10, 2));
  coordinator_.Close(absl::OkStatus());
  EXPECT_EQ(Result(), absl::UnavailableError("the coordinator left before the end of the run"));
}

TEST_F(ShardProcessViewsTest, TakenForDeadItRegistersAgainWithWhatItHolds) {
  StartAndJoin();
  coordinator_.Close(kTakenForDead);
  const v1::Register again = NextRegistration();
  EXPECT_EQ(again.role(), v1::ROLE_SHARD);
  EXPECT_EQ(again.id(), 1u);
  EXPECT_EQ(again.token(), "token 3 of shard 1");
  EXPECT_EQ(again.capacity_bytes(), uint64_t{64} << 20);
  EXPECT_THAT(again.address(), HasSubstr("127.0.0.1:"));
  const HeldState held = HeldBy(again);
  EXPECT_EQ(held.view, (View{3, 1}));
  EXPECT_EQ(held.state, StatePoint());
  EXPECT_TRUE(held.whole);
  EXPECT_THAT(held.range_ends, ElementsAre(4, 10));
  EXPECT_THAT(held.workers, ElementsAre(0u));

  coordinator_.SayWelcome(Config(), "", 1, /*incarnation=*/4);
  ViewAnnouncement view = ViewOf();
  view.view = {4, 1};
  EXPECT_EQ(Join(view).rebuilt_in_seconds(), 0.0);
  coordinator_.Close(kTakenForDead);
  EXPECT_EQ(NextRegistration().token(), "token 4 of shard 1");  // the newest
  coordinator_.SayWelcome(Config(), "", 1, /*incarnation=*/4);
  view.view = {4, 2};
  Join(view);
  StopAndRead({4, 2}, {4, 10});
}

TEST_F(ShardProcessViewsTest, BeforeThereWasAViewItHoldsNothing) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.Close(kTakenForDead);
  const v1::Register again = NextRegistration();
  EXPECT_FALSE(again.has_held());
  EXPECT_EQ(again.token(), "token 3 of shard 1");
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
}

TEST_F(ShardProcessViewsTest, WithAnotherNumberItStartsAnew) {
  StartAndJoin();
  coordinator_.Close(kTakenForDead);
  NextRegistration();
  coordinator_.SayWelcome(Config(), "", /*id=*/0);
  Join(ViewOf(10, 2));
  EXPECT_EQ(metrics_.classes.Value(), 4.0);
  EXPECT_EQ(StopAndRead({3, 2}, {0, 4}).size(), 4u * 16);
}

TEST_F(ShardProcessViewsTest, ACoordinatorWithAnotherConfigurationEndsIt) {
  StartAndJoin();
  coordinator_.Close(kTakenForDead);
  NextRegistration();
  coordinator_.SayWelcome(Config(", scale: 32"));
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("another configuration"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ShardProcessViewsTest, AViewThatDoesNotNameItEndsIt) {
  StartAndJoin();
  ViewAnnouncement view = ViewOf(10, 2);
  view.shards[1].id = 2;
  coordinator_.Say(view);
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("view 3.2 does not name shard 1"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ShardProcessViewsTest, AnOlderViewEndsIt) {
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf(10, 2));
  coordinator_.Say(ViewOf(10, 1));
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(),
              HasSubstr("view 3.1 was announced, but this shard is in view 3.2"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kFailedPrecondition);
}

// --- A process that is stopped while it writes its class centers, and goes on

// Calls `stop` once, when a file is created for the model.
class StoppingDisk final : public ForwardingFileSystem {
 public:
  explicit StoppingDisk(std::function<void()> stop) : ForwardingFileSystem(RealFileSystem()), stop_(std::move(stop)) {}
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    if (absl::StrContains(path, "/model/") && stop_) std::exchange(stop_, nullptr)();
    return ForwardingFileSystem::Create(path);
  }

 private:
  std::function<void()> stop_;
};

TEST_F(ShardProcessViewsTest, StoppedWhileItWritesUntilAnotherCoordinatorRunsItWritesInThatOnesView) {
  StoppingDisk disk([this] { ASSERT_TRUE(WriteFileAtomically(folder_ + "/incarnation", "4\n").ok()); });
  options_.files = &disk;
  StartAndJoin();
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});
  coordinator_.Close(kTakenForDead);
  EXPECT_EQ(HeldBy(NextRegistration()).view, (View{3, 1}));  // it has not finished
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/model"));
  coordinator_.SayWelcome(Config(), "", 1, /*incarnation=*/4);
  ViewAnnouncement view = ViewOf();
  view.view = {4, 1};
  Join(view);
  EXPECT_EQ(StopAndRead({4, 1}, {4, 10}).size(), 6u * 16);
  EXPECT_EQ(SafetensorsFile::Open(CentersPath({4, 10}))->metadata().at("view"), "4.1");
  process_.reset();
}

TEST_F(ShardProcessViewsTest, StoppedWhileItWritesItDoesNotReplaceTheCentersOfALaterView) {
  const std::vector<float> later(6 * 16, 0.25f);
  StoppingDisk disk([&] {
    ASSERT_TRUE(WriteSafetensors(CentersPath({4, 10}), {TensorView::Of<float>("class_centers.4-10", {6, 16}, later)},
                                 {{"view", "3.2"}})
                    .ok());
  });
  options_.files = &disk;
  StartAndJoin();
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("was written in view 3.2"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Centers({4, 10}), later);
  process_.reset();
}

TEST_F(ShardProcessViewsTest, ASpareSaysThatItIsOne) {
  options_.spare = true;
  EXPECT_TRUE(Start().spare());
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
}

TEST_F(ShardProcessViewsTest, ASpareThatTheRunDidNotNeedEndsInOrder) {
  options_.spare = true;
  Start();
  coordinator_.Close(absl::OkStatus());
  EXPECT_TRUE(Result().ok()) << result_;
}

// --- A range that is rebuilt: the process is shard 2 of a LogPeer's run

class RebuiltShardTest : public ShardProcessViewsTest {
 protected:
  static constexpr ClassRange kRange{70, 100};

  void SetUp() override {
    ShardProcessViewsTest::SetUp();
    records_ = RecordsThrough(4);
    peer_ = std::make_unique<LogPeer>(records_);
    peer_->Announce(peer_->ViewOf(2));
    peer_->AwaitJoined({3, 2});
  }
  std::string RebuiltConfig() const {
    return absl::StrCat("run: {folder: '", folder_, "'}\n",
                        "data: {train: /nowhere, batch_size: 16, micro_batch_size: 4}\n",
                        "backbone: {embedding_size: ", RecordShape().dim, "}\n", "head: {exp_budget_mb: 0}\n",
                        "cluster: {shards: 3, heartbeat_timeout: 1h}\n");
  }
  // View 3.`counter` of the peer's run. Where the peer is reached is up to the caller.
  ViewAnnouncement RebuiltViewOf(uint64_t counter, const std::string& address) const {
    ViewAnnouncement view = peer_->ViewOf(counter);
    view.shards[0].address = address;
    return view;
  }
  // The class centers after the steps of all records.
  std::vector<float> Expected() {
    auto head = head::Head::Create(
        HeadOptionsOf(*ParseRunConfig(RebuiltConfig(), "the test's", {}), kRecordClasses, kRange, DeviceName{}),
        int64_t{1} << 30);
    EXPECT_TRUE(head.ok()) << head.status();
    RecordApplier applier;
    for (const auto& record : records_) {
      const absl::Status status = applier.Replay(*record, head->get());
      EXPECT_TRUE(status.ok()) << status;
    }
    std::vector<float> centers(kRange.size() * RecordShape().dim);
    EXPECT_TRUE((*head)->ReadWeights(kRange, {centers.data(), kRange.size(), RecordShape().dim}).ok());
    return centers;
  }
  void StartAsShard2() {
    Start();
    coordinator_.SayWelcome(RebuiltConfig(), "", 2);
  }

  std::vector<std::shared_ptr<const ReplayRecord>> records_;
  std::unique_ptr<LogPeer> peer_;
};

TEST_F(RebuiltShardTest, ARestartedShardRebuildsItsRangeFromTheLogOfAnother) {
  StartAsShard2();
  const v1::Joined joined = Join(RebuiltViewOf(2, peer_->address()));
  EXPECT_EQ(joined.replayed_steps(), 4u);
  EXPECT_GT(joined.rebuilt_in_seconds(), 0.0);
  EXPECT_EQ(metrics_.replayed_steps.Value(), 4.0);
  EXPECT_EQ(metrics_.recovery.Collect().histogram.sample_count, 1u);
  EXPECT_EQ(StopAndRead({3, 2}, kRange), Expected());
}

TEST_F(RebuiltShardTest, ItsOwnLogThenHoldsWhatItReplayed) {
  StartAsShard2();
  Join(RebuiltViewOf(2, peer_->address()));
  const uint64_t bytes = 4 * records_[0]->bytes();
  coordinator_.AwaitHeartbeat([&](const v1::ParticipantStats& stats) { return stats.log_bytes() == bytes; });
  process_->UpdateMetrics();
  EXPECT_EQ(metrics_.log.Value(), static_cast<double>(bytes));
  coordinator_.Say(First(NextAction::kEvaluate, /*checkpoint=*/false, {3, 2}));
  // A checkpoint that is complete releases the steps up to it.
  coordinator_.Say(CheckpointSettled{.state = records_[2]->after, .complete = true});
  coordinator_.Close(kTakenForDead);
  const HeldState held = HeldBy(NextRegistration());
  EXPECT_EQ(held.state, records_[3]->after);
  EXPECT_EQ(held.log_base, records_[2]->after);
  coordinator_.Close(absl::AbortedError("over"));
  EXPECT_EQ(Result(), absl::AbortedError("over"));
}

TEST_F(RebuiltShardTest, WhereNoPeerCanBeReachedItSaysSoAndFollowsTheNextView) {
  StartAsShard2();
  coordinator_.Say(RebuiltViewOf(2, "127.0.0.1:1"));  // where nobody listens
  const v1::ParticipantMessage message = coordinator_.NextMessage();
  ASSERT_TRUE(message.has_lost_peers()) << message.ShortDebugString();
  EXPECT_EQ(FromProto(message.lost_peers().view()), (View{3, 2}));
  EXPECT_THAT(message.lost_peers().shards(), ElementsAre(0u));
  EXPECT_THAT(message.lost_peers().sentence(), HasSubstr("shard 0 at 127.0.0.1:1"));
  peer_->Announce(peer_->ViewOf(3));
  EXPECT_EQ(Join(RebuiltViewOf(3, peer_->address())).replayed_steps(), 4u);
  EXPECT_EQ(StopAndRead({3, 3}, kRange), Expected());
}

TEST_F(RebuiltShardTest, AViewDuringTheReplayIsFollowed) {
  StartAsShard2();
  // The peer does not know this view, so that the replay of it waits.
  coordinator_.Say(RebuiltViewOf(3, peer_->address()));
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  const ViewAnnouncement view = RebuiltViewOf(4, peer_->address());
  coordinator_.Say(view);
  while (peer_->metrics().messages.With(kReceived).Value() < 2.0) std::this_thread::yield();
  peer_->Announce(peer_->ViewOf(4));
  const v1::ParticipantMessage message = coordinator_.NextMessage();
  ASSERT_TRUE(message.has_joined()) << message.ShortDebugString();
  EXPECT_EQ(FromProto(message.joined().view()), view.view);
  EXPECT_EQ(StopAndRead({3, 4}, kRange), Expected());
}

TEST_F(RebuiltShardTest, ItCanEndDuringAReplay) {
  StartAsShard2();
  coordinator_.Say(RebuiltViewOf(9, peer_->address()));  // the peer waits for this view
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  coordinator_.Close(absl::AbortedError("worker 2 died"));
  EXPECT_EQ(Result(), absl::AbortedError("worker 2 died"));
  process_.reset();
}

TEST_F(RebuiltShardTest, ItServesItsLogToOthers) {
  const v1::Register registration = Start();
  coordinator_.SayWelcome(RebuiltConfig(), "", 2);
  Join(RebuiltViewOf(2, peer_->address()));
  // In the next view the process has the log, and shard 1 asks it.
  ViewAnnouncement view = RebuiltViewOf(3, "");
  view.shards[2].holds = view.shards[2].has_log = true;
  Join(view);
  Mutex mutex;
  CondVar changed;
  uint64_t received = 0;
  std::optional<absl::Status> end;
  ReplayClient client({.security = {},
                       .on_record =
                           [&](const View&, const std::shared_ptr<const ReplayRecord>& record) {
                             MutexLock lock(&mutex);
                             EXPECT_TRUE(SameRecord(*record, *records_[received]));
                             ++received;
                             return absl::OkStatus();
                           },
                       .on_ended =
                           [&](const View&, const absl::Status& status) {
                             MutexLock lock(&mutex);
                             end = status;
                             changed.NotifyAll();
                           }});
  client.Begin({.view = {3, 3},
                .shard = 1,
                .token = view.shards[1].token,
                .peer = 2,
                .address = registration.address(),
                .after = {},
                .until = 4,
                .limits = {RecordShape().dim, 16, kRecordClasses}});
  client.Applied(4);
  {
    MutexLock lock(&mutex);
    while (!end.has_value()) changed.Wait(&mutex);
    EXPECT_TRUE(end->ok()) << *end;
    EXPECT_EQ(received, 4u);
  }
  StopAndRead({3, 3}, kRange);
}

}  // namespace
}  // namespace arcshard::shard
