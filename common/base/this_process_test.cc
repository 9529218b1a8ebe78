#include "common/base/this_process.h"

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

TEST(ThisProcessTest, TheHostHasAName) { EXPECT_FALSE(HostName().empty()); }

}  // namespace
}  // namespace arcshard
