#include "worker/view_connections.h"

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "ATen/ops/full.h"
#include "client/abortable_slot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

class ViewConnectionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto rendezvous = Rendezvous::Listen("127.0.0.1");
    ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
    rendezvous_ = *std::move(rendezvous);
  }

  // The options of the worker with this position in a view of two workers and no shards.
  ViewConnections::Options OptionsOf(const View& view, size_t position) {
    ViewConnections::Options options;
    options.view.view = view;
    options.view.workers = {{0, rendezvous_->address()}, {1, ""}};
    options.position = position;
    options.dim = 4;
    options.interface = "127.0.0.1";
    options.connect_timeout = absl::Minutes(10);
    options.metrics = &metrics_;
    return options;
  }

  // The connections of both workers, which need each other.
  std::pair<std::unique_ptr<ViewConnections>, std::unique_ptr<ViewConnections>> Connect(const View& view) {
    auto other = std::async(std::launch::async, [&] { return ViewConnections::Connect(OptionsOf(view, 1)); });
    auto first = ViewConnections::Connect(OptionsOf(view, 0));
    auto second = other.get();
    EXPECT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
    return {*std::move(first), *std::move(second)};
  }

  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  std::unique_ptr<Rendezvous> rendezvous_;
};

TEST_F(ViewConnectionsTest, AnAbortEndsTheWaitOfTheViewThatReplacedAnother) {
  client::AbortableSlot<ViewConnections> slot;
  for (const uint64_t counter : {1, 2}) {
    SCOPED_TRACE(counter);
    auto [mine, others] = Connect({1, counter});
    slot.Clear();
    AllReduce* const all_reduce = slot.Install(std::move(mine))->all_reduce();
    std::thread other(
        [&connections = others] { EXPECT_TRUE(connections->all_reduce()->Sum(at::full({4}, 1.0f)).ok()); });
    EXPECT_TRUE(all_reduce->Sum(at::full({4}, 1.0f)).ok());
    other.join();
    if (counter == 1) continue;
    // The other worker does not sum any more.
    std::thread stream([&slot] { slot.Abort(absl::AbortedError("worker 1 died at step 3")); });
    EXPECT_EQ(all_reduce->Sum(at::full({4}, 1.0f)).status(), absl::AbortedError("worker 1 died at step 3"));
    stream.join();
  }
}

TEST_F(ViewConnectionsTest, AShardThatDoesNotAnswerIsNamed) {
  ViewConnections::Options options = OptionsOf({1, 1}, 0);
  options.view.shards = {{7, "127.0.0.1:1", {0, 10}}};
  options.connect_timeout = absl::Milliseconds(50);
  EXPECT_THAT(std::string(ViewConnections::Connect(options).status().message()),
              ::testing::StartsWith("waited 50ms for shard 0 at 127.0.0.1:1, which does not answer"));
}

}  // namespace
}  // namespace arcshard::worker
