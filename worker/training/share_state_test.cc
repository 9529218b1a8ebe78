#include "worker/training/share_state.h"

#include <vector>

#include "gtest/gtest.h"
#include "worker/training/all_reduce/testing/connected_workers.h"
#include "worker/training/testing/test_model.h"

namespace arcshard::worker {
namespace {

TEST(ShareStateTest, WhoLacksTheStateGetsThatOfTheSenderAndTheOthersKeepTheirs) {
  constexpr int kSender = 1, kTaker = 0;
  for (const OptimizerOptions& optimizer : {OptimizerOptions(SgdOptions()), OptimizerOptions(AdamWOptions())}) {
    const TestModel::Options options{.optimizer = optimizer};
    const std::vector<NamedTensor> senders = TestModel(options, kSender + 1).Copy(),
                                   thirds = TestModel(options, 3).Copy();
    ForConnectedWorkers(3, [&](int rank, AllReduce* all_reduce) {
      TestModel model(options, static_cast<uint64_t>(rank) + 1);
      const absl::Status status = ShareState(all_reduce, kSender, rank == kTaker, model.state());
      ASSERT_TRUE(status.ok()) << status;
      ExpectSame(model.Copy(), rank == 2 ? thirds : senders);
    });
  }
}

TEST(ShareStateTest, ALostPeerLeavesTheStateAsItWas) {
  const std::vector<NamedTensor> before = TestModel({}, 1).Copy();
  ForConnectedWorkers(2, [&](int rank, AllReduce* all_reduce) {
    if (rank == 1) return;  // it leaves instead of sending
    TestModel model({}, 1);
    EXPECT_EQ(ShareState(all_reduce, /*sender=*/1, /*takes=*/true, model.state()).code(),
              absl::StatusCode::kUnavailable);
    ExpectSame(model.Copy(), before);
  });
}

}  // namespace
}  // namespace arcshard::worker
