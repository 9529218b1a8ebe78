#include "worker/training/all_reduce.h"

#include <thread>
#include <vector>

#include "ATen/ops/equal.h"
#include "ATen/ops/full.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/training/reduce_group.h"
#include "worker/training/worker_device.h"

namespace arcshard::worker {
namespace {

AllReduceOptions OptionsOf(const Rendezvous& rendezvous, int rank, int size) {
  AllReduceOptions options;
  options.view = {1, 1};
  options.rank = rank;
  options.size = size;
  options.rendezvous = rendezvous.address();
  options.interface = "127.0.0.1";
  options.timeout = absl::Minutes(10);
  return options;
}

TEST(AllReduceTest, EveryWorkerGetsTheSumAndKeepsItsOwnValues) {
  const auto rendezvous = Rendezvous::Listen("127.0.0.1");
  ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
  std::vector<at::Tensor> sums(3);
  std::vector<std::thread> workers;
  for (int rank = 0; rank < 3; ++rank) {
    workers.emplace_back([&, rank] {
      const auto group = AllReduce::Connect(OptionsOf(**rendezvous, rank, 3));
      ASSERT_TRUE(group.ok()) << group.status();
      const at::Tensor mine = at::full({1000}, rank + 1.0f);
      const auto sum = (*group)->Sum(mine);
      ASSERT_TRUE(sum.ok()) << sum.status();
      EXPECT_TRUE(at::equal(mine, at::full({1000}, rank + 1.0f)));
      sums[rank] = *sum;
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const at::Tensor& sum : sums) EXPECT_TRUE(at::equal(sum, at::full({1000}, 6.0f)));
}

TEST(AllReduceTest, AGroupOfOneNeedsNobody) {
  AllReduceOptions options;
  const auto group = AllReduce::Connect(options);
  ASSERT_TRUE(group.ok());
  EXPECT_TRUE(at::equal(*(*group)->Sum(at::full({3}, 2.0f)), at::full({3}, 2.0f)));
}

TEST(AllReduceTest, AnAbortLetsAWaitingWorkerGo) {
  const auto rendezvous = Rendezvous::Listen("127.0.0.1");
  ASSERT_TRUE(rendezvous.ok());
  std::unique_ptr<AllReduce> first, second;
  std::thread other([&] { second = *AllReduce::Connect(OptionsOf(**rendezvous, 1, 2)); });
  first = *AllReduce::Connect(OptionsOf(**rendezvous, 0, 2));
  other.join();
  std::thread coordinator([&] { first->Abort(absl::AbortedError("worker 1 died at step 3")); });
  EXPECT_EQ(first->Sum(at::full({10}, 1.0f)).status(), absl::AbortedError("worker 1 died at step 3"));
  coordinator.join();
  EXPECT_EQ(first->Sum(at::full({10}, 1.0f)).status().code(), absl::StatusCode::kAborted);
  second.reset();  // ends what may be pending, so that the group can be destroyed
}

TEST(AllReduceTest, AVanishedPeerIsAnErrorNotAHang) {
  const auto rendezvous = Rendezvous::Listen("127.0.0.1");
  ASSERT_TRUE(rendezvous.ok());
  std::unique_ptr<AllReduce> first, second;
  std::thread other([&] { second = *AllReduce::Connect(OptionsOf(**rendezvous, 1, 2)); });
  first = *AllReduce::Connect(OptionsOf(**rendezvous, 0, 2));
  other.join();
  second.reset();
  EXPECT_EQ(first->Sum(at::full({10}, 1.0f)).status().code(), absl::StatusCode::kUnavailable);
}

TEST(RendezvousTest, AnAddressOfAnotherHostIsRefusedByName) {
  EXPECT_THAT(std::string(Rendezvous::Listen("192.0.2.1").status().message()), ::testing::HasSubstr("192.0.2.1"));
}

TEST(CanUseNcclTest, EveryWorkerNeedsAGpuOfItsOwn) {
  EXPECT_TRUE(CanUseNccl({"GPU a"}));
  EXPECT_TRUE(CanUseNccl({"GPU a", "GPU b", "GPU c"}));
  EXPECT_FALSE(CanUseNccl({"GPU a", "cpu"}));
  EXPECT_FALSE(CanUseNccl({"cpu", "cpu"}));
  EXPECT_FALSE(CanUseNccl({"GPU a", "GPU b", "GPU a"})) << "NCCL takes no GPU twice";
}

TEST(WorkerDeviceTest, AGpuThatIsNotThereIsRefusedWithTheReason) {
  const absl::Status status = UseGpu(127);
  EXPECT_THAT(status.code(), ::testing::AnyOf(absl::StatusCode::kNotFound, absl::StatusCode::kUnimplemented));
  EXPECT_THAT(std::string(status.message()), ::testing::AnyOf(::testing::HasSubstr("this machine has"),
                                                              ::testing::HasSubstr("no CUDA device can be used"),
                                                              ::testing::HasSubstr("no code for GPUs")));
}

}  // namespace
}  // namespace arcshard::worker
