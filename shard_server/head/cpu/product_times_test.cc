#include "shard_server/head/cpu/product_times.h"

#include "gtest/gtest.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {
namespace {

// Each look at it is a millisecond after the one before.
class TickingClock final : public Clock {
 public:
  MonotonicTime Now() const override { return now_ = now_ + absl::Milliseconds(1); }
  absl::Time WallTime() const override { return absl::UnixEpoch(); }

 private:
  mutable MonotonicTime now_;
};

TEST(ProductTimesTest, EachWayThatTheProcessorHasIsTimed) {
  for (const int64_t dim : {1, 37, 512}) {
    const ProductTimes times = MeasureProducts(dim, 5, TickingClock());
    EXPECT_EQ(times.float32, absl::Milliseconds(1));
    EXPECT_EQ(times.widened, absl::Milliseconds(1));
    EXPECT_EQ(times.bfloat16, HasNativeBfloat16() ? absl::Milliseconds(1) : absl::InfiniteDuration());
  }
}

TEST(ProductTimesTest, TheShapeIsThatOfTheRunButNoLargerThanAMeasurementNeeds) {
  const ProductTimes small = MeasureProducts(512, 20, TickingClock());
  EXPECT_EQ(small.rows, 128);
  EXPECT_EQ(small.samples, 32);
  EXPECT_EQ(small.dim, 512);
  const ProductTimes large = MeasureProducts(4096, 100'000, TickingClock());
  EXPECT_EQ(large.rows, 16);
  EXPECT_EQ(large.samples, 256);
}

}  // namespace
}  // namespace arcshard::head
