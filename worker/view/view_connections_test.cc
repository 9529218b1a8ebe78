#include "worker/view/view_connections.h"

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "ATen/ops/full.h"
#include "client/abortable_slot.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/training/all_reduce/rendezvous.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const absl::Status kAnotherView = absl::CancelledError("another view is queued");

class ViewConnectionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto rendezvous = Rendezvous::Listen("127.0.0.1");
    ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
    rendezvous_ = *std::move(rendezvous);
  }

  // The options of the worker with this position in a view of the workers 2 and 5 and no shards.
  ViewConnections::Options OptionsOf(const View& view, size_t position) {
    ViewConnections::Options options;
    options.view.view = view;
    options.view.workers = {{.id = 2, .rendezvous = rendezvous_->address()}, {.id = 5, .rendezvous = ""}};
    options.position = position;
    options.dim = 4;
    options.interface = "127.0.0.1";
    options.connect_timeout = absl::Minutes(10);
    options.clock = &clock_;
    options.metrics = &metrics_;
    return options;
  }

  // Connects the worker's with those of the other worker, which it returns.
  std::unique_ptr<ViewConnections> ConnectBoth(const View& view, ViewConnections* mine) {
    auto others = std::make_unique<ViewConnections>(OptionsOf(view, 1));
    auto other = std::async(std::launch::async, [&] { return others->Connect(); });
    EXPECT_TRUE(mine->Connect().ok());
    EXPECT_TRUE(other.get().ok());
    return others;
  }

  FakeClock clock_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  std::unique_ptr<Rendezvous> rendezvous_;
};

absl::StatusOr<at::Tensor> SumOf(ViewConnections* connections) {
  return connections->all_reduce()->Sum(at::full({4}, 1.0f));
}

TEST_F(ViewConnectionsTest, AnAbortEndsTheWaitOfTheViewThatReplacedAnother) {
  client::AbortableSlot<ViewConnections> slot;
  for (const uint64_t counter : {1, 2}) {
    SCOPED_TRACE(counter);
    slot.Clear();
    ViewConnections* const mine = slot.Install(std::make_unique<ViewConnections>(OptionsOf({1, counter}, 0)));
    const std::unique_ptr<ViewConnections> others = ConnectBoth({1, counter}, mine);
    std::thread other([&] { EXPECT_TRUE(SumOf(others.get()).ok()); });
    EXPECT_TRUE(SumOf(mine).ok());
    other.join();
    if (counter == 1) continue;
    // The other worker does not sum any more.
    std::thread stream([&slot] { slot.Abort(absl::AbortedError("worker 1 died at step 3")); });
    EXPECT_EQ(SumOf(mine).status(), absl::AbortedError("worker 1 died at step 3"));
    stream.join();
    EXPECT_EQ(mine->LossBehind(absl::AbortedError("worker 1 died at step 3")), std::nullopt);
  }
}

TEST_F(ViewConnectionsTest, AnAbortEndsTheWaitForAWorkerThatDoesNotCome) {
  ViewConnections alone(OptionsOf({1, 1}, 0));
  auto connected = std::async(std::launch::async, [&] { return alone.Connect(); });
  while (!alone.waiting().all_reduce) std::this_thread::yield();
  alone.Abort(kAnotherView);
  EXPECT_EQ(connected.get(), kAnotherView);
  EXPECT_EQ(alone.Connect(), kAnotherView) << "and none begins afterwards";
  EXPECT_EQ(alone.LossBehind(kAnotherView), std::nullopt);
}

TEST_F(ViewConnectionsTest, AnAbortEndsTheWaitForAShardThatDoesNotAnswer) {
  ViewConnections::Options options = OptionsOf({1, 1}, 0);
  options.view.shards = {{.id = 7, .address = "127.0.0.1:1", .range = {0, 10}}};
  ViewConnections alone(options);
  auto connected = std::async(std::launch::async, [&] { return alone.Connect(); });
  while (alone.waiting().shards.empty()) std::this_thread::yield();
  alone.Abort(kAnotherView);
  EXPECT_EQ(connected.get(), kAnotherView);
  EXPECT_EQ(alone.LossBehind(kAnotherView), std::nullopt);
}

TEST_F(ViewConnectionsTest, AShardThatDoesNotAnswerIsNamedAndLost) {
  ViewConnections::Options options = OptionsOf({1, 1}, 0);
  options.view.shards = {{.id = 7, .address = "127.0.0.1:1", .range = {0, 10}}};
  options.connect_timeout = absl::Milliseconds(50);
  ViewConnections alone(options);
  const absl::Status status = alone.Connect();
  EXPECT_THAT(std::string(status.message()),
              StartsWith("waited 50ms for shard 7 at 127.0.0.1:1, which does not answer"));
  const std::optional<LostPeersReport> lost = alone.LossBehind(status);
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->shards, ElementsAre(7));
  EXPECT_THAT(lost->workers, IsEmpty());
  EXPECT_EQ(lost->sentence, status.message());
}

TEST_F(ViewConnectionsTest, AWorkerThatVanishesIsLost) {
  ViewConnections mine(OptionsOf({1, 1}, 0));
  ConnectBoth({1, 1}, &mine);  // the other one's are closed at once
  const absl::Status status = SumOf(&mine).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  const std::optional<LostPeersReport> lost = mine.LossBehind(status);
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->shards, IsEmpty());
  EXPECT_THAT(lost->workers, ElementsAre(5));
}

TEST_F(ViewConnectionsTest, AShardWhoseLinkEndsIsLostUnlessItSaysThatSomethingIsWrong) {
  ViewConnections mine(OptionsOf({1, 1}, 0));
  EXPECT_EQ(mine.LossBehind(absl::UnavailableError("the loader's device failed")), std::nullopt) << "nobody is lost";
  mine.head()->OnLost(4, absl::UnavailableError("connection reset"));
  const std::optional<LostPeersReport> lost = mine.LossBehind(absl::UnavailableError("shard 4: connection reset"));
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->shards, ElementsAre(4));
  // The shard has a newer view, of which this worker will hear.
  EXPECT_TRUE(mine.LossBehind(absl::FailedPreconditionError("shard 4: an older view")).has_value());
  EXPECT_EQ(mine.LossBehind(absl::InvalidArgumentError("shard 4: labels of a wrong shape")), std::nullopt);
  EXPECT_EQ(mine.LossBehind(absl::AlreadyExistsError("shard 4: other bytes")), std::nullopt);
  EXPECT_EQ(mine.LossBehind(absl::OkStatus()), std::nullopt);
}

TEST_F(ViewConnectionsTest, ItIsToldForWhomTheTrainingLoopWaitsAndForHowLong) {
  ViewConnections mine(OptionsOf({1, 1}, 0));
  EXPECT_FALSE(mine.waiting().waits());
  const std::unique_ptr<ViewConnections> others = ConnectBoth({1, 1}, &mine);
  EXPECT_FALSE(mine.waiting().waits());
  auto sum = std::async(std::launch::async, [&] { return SumOf(&mine).status(); });
  while (!mine.waiting().all_reduce) std::this_thread::yield();
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(mine.waiting(), (Waiting{.view = {1, 1}, .all_reduce = true, .seconds = 3.0}));
  EXPECT_TRUE(SumOf(others.get()).ok());
  EXPECT_TRUE(sum.get().ok());
  EXPECT_FALSE(mine.waiting().waits());
}

}  // namespace
}  // namespace arcshard::worker
