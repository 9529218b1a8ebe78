#include "worker/training/all_reduce/all_reduce.h"

#include <bit>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/ops/equal.h"
#include "ATen/ops/full.h"
#include "ATen/ops/zeros.h"
#include "common/base/clock.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/training/all_reduce/reduce_group.h"
#include "worker/training/all_reduce/testing/connected_workers.h"
#include "worker/training/all_reduce/worker_device.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMany = int64_t{4} << 20;  // elements: more than the system's buffers of a connection hold

std::vector<uint32_t> Bits(const at::Tensor& values) {
  std::vector<uint32_t> bits;
  for (int64_t i = 0; i < values.numel(); ++i)
    bits.push_back(std::bit_cast<uint32_t>(values.const_data_ptr<float>()[i]));
  return bits;
}

size_t CountEntries(const char* folder) {
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++entries;
  return entries;
}

// Two connected workers, used by the test's threads.
class TwoWorkersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto rendezvous = Rendezvous::Listen("127.0.0.1");
    ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
    rendezvous_ = *std::move(rendezvous);
  }

  void Connect(const View& view = {1, 1}) {
    AllReduceOptions first = OptionsOf(*rendezvous_, 0, 2), second = OptionsOf(*rendezvous_, 1, 2);
    first.view = second.view = view;
    first.clock = &clock_;
    first_ = std::make_unique<AllReduce>(first);
    second_ = std::make_unique<AllReduce>(second);
    auto other = std::async(std::launch::async, [this] { return second_->Connect(); });
    const absl::Status status = first_->Connect();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(other.get().ok());
  }

  FakeClock clock_;
  std::unique_ptr<Rendezvous> rendezvous_;
  std::unique_ptr<AllReduce> first_, second_;
};

TEST(AllReduceTest, EveryWorkerGetsTheSumAndKeepsItsOwnValues) {
  std::vector<at::Tensor> sums(3);
  ForConnectedWorkers(3, [&](int rank, AllReduce* all_reduce) {
    const at::Tensor mine = at::full({1000}, rank + 1.0f);
    const auto sum = all_reduce->Sum(mine);
    ASSERT_TRUE(sum.ok()) << sum.status();
    EXPECT_TRUE(at::equal(mine, at::full({1000}, rank + 1.0f)));
    EXPECT_THAT(all_reduce->lost(), IsEmpty());
    sums[rank] = *sum;
  });
  for (const at::Tensor& sum : sums) EXPECT_TRUE(at::equal(sum, at::full({1000}, 6.0f)));
}

TEST(AllReduceTest, EveryWorkerGetsTheRootsValuesBitByBit) {
  // -0, a quiet NaN with a payload, a signalling one, the smallest denormal, and infinity.
  const std::vector<uint32_t> odd = {0x80000000u, 0x7fc0dead, 0xff800001u, 0x00000001u, 0x7f800000u, 0x3f800000u};
  for (const int size : {2, 3}) {
    for (int root = 0; root < size; ++root) {
      SCOPED_TRACE(root);
      ForConnectedWorkers(size, [&](int rank, AllReduce* all_reduce) {
        const at::Tensor mine = at::full({static_cast<int64_t>(odd.size())}, rank + 1.0f);
        if (rank == root) {
          for (size_t i = 0; i < odd.size(); ++i) {
            reinterpret_cast<uint32_t*>(mine.mutable_data_ptr<float>())[i] = odd[i];
          }
        }
        const std::vector<uint32_t> before = Bits(mine);
        const auto got = all_reduce->Broadcast(mine, root);
        ASSERT_TRUE(got.ok()) << got.status();
        EXPECT_EQ(Bits(*got), odd) << rank;
        EXPECT_EQ(Bits(mine), before) << "a worker's own values stay";
        // Integers that no float32 holds.
        const int64_t wide = (int64_t{1} << 53) + 1;
        const auto steps = all_reduce->Broadcast(at::full({2}, rank == root ? wide : 0, at::kLong), root);
        ASSERT_TRUE(steps.ok()) << steps.status();
        EXPECT_EQ(steps->const_data_ptr<int64_t>()[1], wide);
        // It disturbs no sum after it.
        const auto sum = all_reduce->Sum(at::full({3}, 1.0f));
        ASSERT_TRUE(sum.ok()) << sum.status();
        EXPECT_TRUE(at::equal(*sum, at::full({3}, static_cast<float>(size))));
      });
    }
  }
}

TEST(AllReduceTest, AGroupOfOneNeedsNobody) {
  AllReduce alone{AllReduceOptions()};
  ASSERT_TRUE(alone.Connect().ok());
  EXPECT_TRUE(at::equal(*alone.Sum(at::full({3}, 2.0f)), at::full({3}, 2.0f)));
  EXPECT_TRUE(at::equal(*alone.Broadcast(at::full({3}, 2.0f), 0), at::full({3}, 2.0f)));
}

TEST_F(TwoWorkersTest, AnAbortLetsAWaitingWorkerGo) {
  Connect();
  std::thread coordinator([&] { first_->Abort(absl::AbortedError("worker 1 died at step 3")); });
  EXPECT_EQ(first_->Sum(at::full({10}, 1.0f)).status(), absl::AbortedError("worker 1 died at step 3"));
  coordinator.join();
  EXPECT_EQ(first_->Sum(at::full({10}, 1.0f)).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(first_->Broadcast(at::full({10}, 1.0f), 1).status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(first_->lost(), IsEmpty()) << "nobody was lost";
}

TEST_F(TwoWorkersTest, AnAbortEndsTheWaitOfTheOtherWorkerToo) {
  Connect();
  auto other = std::async(std::launch::async, [this] { return second_->Sum(at::full({kMany}, 1.0f)).status(); });
  first_->Abort(absl::CancelledError("another view is queued"));
  EXPECT_EQ(other.get().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second_->lost(), ElementsAre(0));
}

// The other worker lives and neither sums nor leaves.
TEST_F(TwoWorkersTest, WhatIsPendingEndsWithTheAbortSoThatNothingOfAViewRemains) {
  Connect();
  first_.reset();
  second_.reset();
  const size_t threads = CountEntries("/proc/self/task"), descriptors = CountEntries("/proc/self/fd");
  for (uint64_t counter = 2; counter < 22; ++counter) {
    Connect({1, counter});
    auto sum = std::async(std::launch::async, [this] { return first_->Sum(at::full({1000}, 1.0f)).status(); });
    while (!first_->waiting_since().has_value()) std::this_thread::yield();
    first_->Abort(absl::CancelledError("another view is queued"));
    EXPECT_EQ(sum.get().code(), absl::StatusCode::kCancelled);
    first_.reset();
    second_.reset();
  }
  // A connection is closed, and a thread ends, a little after it was told to.
  const SystemClock clock;
  const MonotonicTime patience = clock.Now() + absl::Minutes(5);
  const auto level = [&] {
    return CountEntries("/proc/self/task") <= threads + 2 && CountEntries("/proc/self/fd") <= descriptors + 2;
  };
  while (!level() && clock.Now() < patience) std::this_thread::yield();
  EXPECT_LE(CountEntries("/proc/self/task"), threads + 2);
  EXPECT_LE(CountEntries("/proc/self/fd"), descriptors + 2);
}

TEST_F(TwoWorkersTest, AVanishedPeerIsAnErrorNotAHang) {
  Connect();
  second_.reset();
  EXPECT_EQ(first_->Sum(at::full({10}, 1.0f)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(first_->lost(), ElementsAre(1));
}

TEST_F(TwoWorkersTest, APeerThatVanishesWithinABroadcastIsAnErrorNotAHang) {
  Connect();
  auto copy = std::async(std::launch::async, [this] { return first_->Broadcast(at::zeros({kMany}), 1).status(); });
  while (!first_->waiting_since().has_value()) std::this_thread::yield();
  second_.reset();
  EXPECT_EQ(copy.get().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(first_->lost(), ElementsAre(1));
}

TEST_F(TwoWorkersTest, ItIsKnownSinceWhenOthersAreAwaited) {
  clock_.Advance(absl::Seconds(5));
  Connect();
  EXPECT_EQ(first_->waiting_since(), std::nullopt);
  const MonotonicTime begun = clock_.Now();
  auto sum = std::async(std::launch::async, [this] { return first_->Sum(at::full({10}, 1.0f)).status(); });
  while (!first_->waiting_since().has_value()) std::this_thread::yield();
  clock_.Advance(absl::Seconds(7));
  EXPECT_EQ(first_->waiting_since(), begun);
  EXPECT_TRUE(second_->Sum(at::full({10}, 1.0f)).ok());
  EXPECT_TRUE(sum.get().ok());
  EXPECT_EQ(first_->waiting_since(), std::nullopt);
}

TEST_F(TwoWorkersTest, AnAbortEndsTheWaitForAWorkerThatDoesNotCome) {
  AllReduceOptions options = OptionsOf(*rendezvous_, 0, 2);
  options.clock = &clock_;
  AllReduce alone(options);
  auto connected = std::async(std::launch::async, [&] { return alone.Connect(); });
  while (!alone.waiting_since().has_value()) std::this_thread::yield();
  alone.Abort(absl::CancelledError("another view is queued"));
  EXPECT_EQ(connected.get(), absl::CancelledError("another view is queued"));
  EXPECT_THAT(alone.lost(), IsEmpty());
  EXPECT_EQ(alone.waiting_since(), std::nullopt);
}

TEST_F(TwoWorkersTest, ARendezvousThatDoesNotAnswerIsALostWorker) {
  AllReduceOptions options = OptionsOf(*rendezvous_, 1, 3);
  options.workers = {4, 5, 8};
  options.rendezvous = "127.0.0.1:1";
  options.connect_timeout = absl::Milliseconds(50);
  AllReduce worker(options);
  const absl::Status status = worker.Connect();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(worker.lost(), ElementsAre(4));
}

TEST_F(TwoWorkersTest, AnImpossibleRendezvousIsRefused) {
  AllReduceOptions options = OptionsOf(*rendezvous_, 1, 2);
  options.rendezvous = "nowhere";
  AllReduce worker(options);
  EXPECT_EQ(worker.Connect().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(worker.lost(), IsEmpty());
}

TEST(RendezvousTest, AnAddressOfAnotherHostIsRefusedByName) {
  EXPECT_THAT(std::string(Rendezvous::Listen("192.0.2.1").status().message()), HasSubstr("192.0.2.1"));
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
  EXPECT_THAT(std::string(status.message()),
              ::testing::AnyOf(HasSubstr("this machine has"), HasSubstr("no CUDA device can be used"),
                               HasSubstr("no code for GPUs")));
}

}  // namespace
}  // namespace arcshard::worker
