#include "common/base/this_process.h"

#include <sched.h>

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(ThisProcessTest, MemoryThatIsWrittenToIsResident) {
  const uint64_t before = ResidentBytes();
  ASSERT_GT(before, 0u);
  constexpr size_t kBytes = size_t{64} << 20;
  const std::vector<char> written(kBytes, 1);
  EXPECT_GE(ResidentBytes(), before + written.size() / 2);
}

TEST(ThisProcessTest, WhatIsResidentFitsTheUsableMemory) {
  EXPECT_GT(UsableMemoryBytes(), static_cast<int64_t>(ResidentBytes()));
}

TEST(ThisProcessTest, CoresOutsideTheAffinityAreNotUsable) {
  EXPECT_GE(UsableCores(), 1);
  std::thread([] {
    cpu_set_t before, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(UsableCores(), 1);
  }).join();
}

TEST(ThisProcessTest, TheMachineIsTheSameEachTime) {
  EXPECT_FALSE(MachineId().empty());
  EXPECT_EQ(MachineId(), MachineId());
}

TEST(ThisProcessTest, TheHostHasAName) { EXPECT_FALSE(HostName().empty()); }

}  // namespace
}  // namespace arcshard
