// The parts of the GPU head that need no GPU: layouts and sizes.
#include "shard_server/head/cuda/cuda_batch.h"

#include "gtest/gtest.h"
#include "shard_server/head/cuda/cuda_head.h"

namespace arcshard::head {
namespace {

TEST(CudaBatchLayoutTest, PartsFollowEachOtherAt256ByteBoundaries) {
  const BatchLayout layout = BatchLayout::Of(/*slots=*/48, /*dim=*/10, /*gradient=*/true);
  EXPECT_EQ(layout.embedding, 0);
  EXPECT_EQ(layout.r, 2048);  // 48·10·4 = 1920
  EXPECT_EQ(layout.t, 2304);  // 48·4 = 192
  EXPECT_EQ(layout.own, 2560);
  EXPECT_EQ(layout.target_rows, 3072);  // 48·8 = 384
  EXPECT_EQ(layout.target_slots, 3584);
  EXPECT_EQ(layout.bytes, 4096);
}

TEST(CudaBatchLayoutTest, ThePassWithoutGradientHasNoRoomForRAndT) {
  const BatchLayout layout = BatchLayout::Of(48, 10, /*gradient=*/false);
  EXPECT_EQ(layout.own, 2048);
  EXPECT_EQ(layout.bytes, 3584);
}

TEST(CudaBatchLayoutTest, OffsetsAreOf64Bits) {
  const BatchLayout layout = BatchLayout::Of(int64_t{1} << 24, 65536, false);
  EXPECT_EQ(layout.own, int64_t{1} << 42);
}

TEST(CudaBatchTest, AGroupBeginsAtAMultipleOf16Slots) {
  EXPECT_EQ(CudaBatch::StrideOf(0), 0);
  EXPECT_EQ(CudaBatch::StrideOf(1), 16);
  EXPECT_EQ(CudaBatch::StrideOf(16), 16);
  EXPECT_EQ(CudaBatch::StrideOf(17), 32);
}

TEST(CudaHeadTest, ABlockFitsTheCacheAndIsWholeTiles) {
  EXPECT_EQ(CudaHead::RowsOfBlock(512), 4096);
  EXPECT_EQ(CudaHead::RowsOfBlock(1), 8192);
  EXPECT_EQ(CudaHead::RowsOfBlock(65536), 128);
  for (int64_t dim = 1; dim < 3000; ++dim) {
    EXPECT_EQ(CudaHead::RowsOfBlock(dim) % 128, 0) << dim;
    EXPECT_LE(CudaHead::RowsOfBlock(dim) * dim, int64_t{1} << 21) << dim;
  }
}

TEST(CudaChunksTest, EveryRowIsInAChunkAndATile) {
  EXPECT_EQ(ChunksOf(0), 0);
  EXPECT_EQ(ChunksOf(1), 1);
  EXPECT_EQ(ChunksOf(kChunkRows), 1);
  EXPECT_EQ(ChunksOf(kChunkRows + 1), 2);
  EXPECT_EQ(TilesOf(kTileRows * 3 + 1), 4);
}

}  // namespace
}  // namespace arcshard::head
