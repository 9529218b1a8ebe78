#include "common/metrics/thread_stacks.h"

#include <pthread.h>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(ThreadStacksTest, ASmallStackBecomesALargeOneAndALargeOneStays) {
  KeepThreadStacksLarge();
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  size_t size = 0;
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 100 << 10), 0);
  ASSERT_EQ(pthread_attr_getstacksize(&attributes, &size), 0);
  EXPECT_EQ(size, kLeastThreadStack);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 8 << 20), 0);
  ASSERT_EQ(pthread_attr_getstacksize(&attributes, &size), 0);
  EXPECT_EQ(size, size_t{8} << 20);
  pthread_attr_destroy(&attributes);
}

}  // namespace
}  // namespace arcshard
