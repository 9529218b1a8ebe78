#include "cli/train/watch_client.h"

#include <poll.h>

#include "common/rpc/endpoint.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

v1::Progress AtStep(uint64_t step) {
  v1::Progress progress;
  progress.set_step(step);
  return progress;
}

// Reports steps 1 to 3, and then ends the stream or waits until it is cancelled.
class FakeCoordinator final : public v1::Coordinator::Service {
 public:
  explicit FakeCoordinator(bool ends) : ends_(ends) {}

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest*,
                     grpc::ServerWriter<v1::Progress>* writer) override {
    for (uint64_t step = 1; step <= 3; ++step) writer->Write(AtStep(step));
    if (ends_) return grpc::Status::OK;
    while (!context->IsCancelled()) writer->Write(AtStep(4));
    return grpc::Status::CANCELLED;
  }

 private:
  const bool ends_;
};

std::vector<uint64_t> TakeSteps(WatchClient* client) {
  std::vector<uint64_t> steps;
  for (const v1::Progress& report : client->Take()) steps.push_back(report.step());
  return steps;
}

TEST(WatchClientTest, AllReportsArriveInOrder) {
  FakeCoordinator coordinator(true);
  const auto server = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto client = WatchClient::Start((*server)->address());
  ASSERT_TRUE(client.ok());
  (*client)->AwaitEnd(absl::Minutes(10));
  pollfd readable = {(*client)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 0), 1);
  EXPECT_EQ(TakeSteps(client->get()), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(poll(&readable, 1, 0), 0);
  EXPECT_EQ(TakeSteps(client->get()), (std::vector<uint64_t>{}));
  (*server)->Shutdown(absl::Minutes(10));  // need not wait so long, since the client answers it
}

TEST(WatchClientTest, DestructionEndsAnOpenStream) {
  FakeCoordinator coordinator(false);
  const auto server = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(server.ok()) << server.status();
  auto client = WatchClient::Start((*server)->address());
  ASSERT_TRUE(client.ok());
  pollfd readable = {(*client)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, -1), 1);
  client->reset();
}

TEST(WatchClientTest, WithoutACoordinatorTheStreamEndsAtOnce) {
  const auto client = WatchClient::Start("127.0.0.1:1");
  ASSERT_TRUE(client.ok());
  (*client)->AwaitEnd(absl::Minutes(10));
  EXPECT_EQ(TakeSteps(client->get()), (std::vector<uint64_t>{}));
}

TEST(WatchClientTest, AnotherLifeOfTheCoordinatorIsFollowedAtTheSameAddress) {
  FakeCoordinator coordinator(true);
  auto first = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = (*first)->address();
  const auto client = WatchClient::Start(address);
  ASSERT_TRUE(client.ok());
  (*client)->AwaitEnd(absl::Minutes(10));
  EXPECT_EQ(TakeSteps(client->get()), (std::vector<uint64_t>{1, 2, 3}));
  first->reset();

  const auto second = RpcServer::Start(address, {&coordinator});
  ASSERT_TRUE(second.ok()) << second.status();
  (*client)->Reopen();
  (*client)->AwaitEnd(absl::Minutes(10));
  pollfd readable = {(*client)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 0), 1);
  EXPECT_EQ(TakeSteps(client->get()), (std::vector<uint64_t>{1, 2, 3}));
}

TEST(WatchClientTest, ItMayBeReopenedBeforeItHasNoticedTheEnd) {
  FakeCoordinator endless(false), ending(true);
  auto first = RpcServer::Start("127.0.0.1:0", {&endless});
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = (*first)->address();
  const auto client = WatchClient::Start(address);
  ASSERT_TRUE(client.ok());
  pollfd readable = {(*client)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, -1), 1);
  (*client)->Reopen();
  EXPECT_FALSE((*client)->ended());
  (*first)->Shutdown(absl::ZeroDuration());
  first->reset();

  const auto second = RpcServer::Start(address, {&ending});
  ASSERT_TRUE(second.ok()) << second.status();
  (*client)->AwaitEnd(absl::Minutes(10));
  const std::vector<uint64_t> steps = TakeSteps(client->get());
  ASSERT_GE(steps.size(), 3u);
  EXPECT_EQ(std::vector<uint64_t>(steps.end() - 3, steps.end()), (std::vector<uint64_t>{1, 2, 3}));
}

TEST(WatchClientTest, DestructionEndsTheWaitForAnotherLife) {
  auto client = WatchClient::Start("127.0.0.1:1");
  ASSERT_TRUE(client.ok());
  (*client)->AwaitEnd(absl::Minutes(10));
  (*client)->Reopen();
  EXPECT_FALSE((*client)->ended());
  client->reset();
}

}  // namespace
}  // namespace arcshard::cli
