#include "shard_server/product_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace arcshard::shard {
namespace {

using head::Bfloat16Products;
using testing::HasSubstr;

head::ProductTimes Times(double float32, double bfloat16, double widened) {
  return {128, 64, 512, absl::Milliseconds(float32), absl::Milliseconds(bfloat16), absl::Milliseconds(widened)};
}

RunConfig Bfloat16Run() {
  RunConfig config;
  config.head.compute = "bfloat16";
  return config;
}

TEST(ProductChoiceTest, TheClearlyFasterWayIsTaken) {
  EXPECT_EQ(ChooseProducts(Bfloat16Run(), Times(1, 2, 1.1)), Bfloat16Products::kWidened);
  EXPECT_EQ(ChooseProducts(Bfloat16Run(), Times(1, 0.5, 1.1)), Bfloat16Products::kNative);
  EXPECT_EQ(ChooseProducts(Bfloat16Run(), Times(1, 1.2, 1.1)), Bfloat16Products::kNative);
}

TEST(ProductChoiceTest, WhereBitsMustNotDependOnAMeasurementTheyDoNot) {
  RunConfig deterministic = Bfloat16Run(), recorded = Bfloat16Run();
  deterministic.run.deterministic = true;
  recorded.run.record = true;
  for (const RunConfig& config : {deterministic, recorded}) {
    EXPECT_EQ(ChooseProducts(config, Times(1, 2, 1.1)), Bfloat16Products::kNative);
    EXPECT_THAT(NoteOnProducts(config, Times(1, 2, 1.1)), HasSubstr("1.00 ms in float32, 2.00 ms in bfloat16"));
  }
}

TEST(ProductChoiceTest, ASlowBfloat16IsSaidWithBothTimes) {
  EXPECT_EQ(NoteOnProducts(Bfloat16Run(), Times(1, 2, 1.1)),
            "head.compute is bfloat16, but on this CPU float32 is faster: the products of 128 classes, 64 samples and "
            "512 dimensions take 1.00 ms in float32, 1.10 ms in bfloat16");
  EXPECT_EQ(NoteOnProducts(Bfloat16Run(), Times(1, 0.5, 1.1)), "");
}

TEST(ProductChoiceTest, WithoutProductsOfItsOwnAProcessorWidens) {
  head::ProductTimes times = Times(1, 0, 1.2);
  times.bfloat16 = absl::InfiniteDuration();
  EXPECT_EQ(ChooseProducts(Bfloat16Run(), times), Bfloat16Products::kWidened);
  EXPECT_THAT(NoteOnProducts(Bfloat16Run(), times), HasSubstr("1.20 ms in bfloat16"));
}

TEST(ProductChoiceTest, TheShapesAreThoseOfTheRun) {
  RunConfig config = Bfloat16Run();
  config.backbone.embedding_size = 48;
  config.data.batch_size = 64;
  config.data.micro_batch_size = 16;
  const SystemClock clock;
  EXPECT_EQ(MeasureProducts(config, clock).samples, 64);
  config.run.deterministic = true;
  const head::ProductTimes times = MeasureProducts(config, clock);
  EXPECT_EQ(times.samples, 16);
  EXPECT_EQ(times.dim, 48);
  EXPECT_GT(times.float32, absl::ZeroDuration());
}

}  // namespace
}  // namespace arcshard::shard
