// The leases of GPUs over real gRPC.
#include <string>
#include <thread>
#include <vector>

#include "coordinator/service/testing/coordinator_service_test_kit.h"
#include "gmock/gmock.h"

namespace arcshard::coordinator {
namespace {

using ::testing::StartsWith;

TEST_F(CoordinatorServiceTest, FourShardsOnTwoMachinesOfTwoGpusGetOneEachAndAgainAfterARestart) {
  Run::Options options;
  options.config.cluster.shards = 5;
  Begin(options);
  const auto lease = [](Peer* peer, const std::string& machine, const std::string& replica) {
    peer->RegisterOnAGpu(machine, replica);
    return peer->Read(v1::CoordinatorMessage::kWelcome).welcome().device();
  };
  {
    const auto one = StubOfItsOwn(), two = StubOfItsOwn();
    Peer a(one.get()), b(one.get()), c(one.get()), d(two.get()), fifth(two.get());
    EXPECT_EQ(lease(&a, "one", "shard-0"), "GPU-one0");
    EXPECT_EQ(lease(&b, "two", "shard-1"), "GPU-two0");
    EXPECT_EQ(lease(&c, "one", "shard-2"), "GPU-one1");
    EXPECT_EQ(lease(&d, "two", "shard-3"), "GPU-two1");
    fifth.RegisterOnAGpu("two", "shard-4");
    const absl::Status refused = fifth.ReadToEnd();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(
        std::string(refused.message()),
        StartsWith("no GPU is left for shard 4 (pid 123 on host): all 2 that it sees are leased, GPU-two0 (H100) to "
                   "shard 1 (pid 123 on host), GPU-two1 (H100) to shard 3"));
  }
  while (!service_->session()->Status().members.empty()) std::this_thread::yield();  // the shards are gone
  options.lease_history = kept_history_;
  Begin(options);
  const auto one = StubOfItsOwn(), two = StubOfItsOwn();
  Peer a(one.get()), b(one.get()), c(two.get()), d(two.get());
  EXPECT_EQ(lease(&d, "two", "shard-3"), "GPU-two1");
  EXPECT_EQ(lease(&c, "one", "shard-2"), "GPU-one1");
  EXPECT_EQ(lease(&b, "two", "shard-1"), "GPU-two0");
  EXPECT_EQ(lease(&a, "one", "shard-0"), "GPU-one0");
}

}  // namespace
}  // namespace arcshard::coordinator
