#include "shard_server/head/cpu/worker_pool.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

TEST(WorkerPoolTest, EachIndexRunsOnceInEveryRoundAndRunWaitsForAll) {
  WorkerPool pool(3);
  std::vector<int> counts(3);
  for (int round = 1; round <= 200; ++round) {
    pool.Run([&](int index) { ++counts[static_cast<size_t>(index)]; });
    ASSERT_EQ(counts, std::vector<int>(3, round));
  }
}

TEST(WorkerPoolTest, APoolOfOneRunsOnTheCaller) {
  WorkerPool pool(1);
  std::thread::id id;
  pool.Run([&](int) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

}  // namespace
}  // namespace arcshard::head
