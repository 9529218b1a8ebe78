#include "common/rpc/tensor_codec.h"

#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

std::vector<float> Ramp(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

TEST(TensorCodecTest, ALargeTensorTravelsInPiecesOfAtMostOneMebibyte) {
  const std::vector<int64_t> shape = {1000, 700};
  const std::vector<float> sent = Ramp(700'000);
  std::vector<float> received(sent.size());
  TensorReceiver receiver("U", shape, absl::MakeSpan(received));
  const int64_t pieces = NumPieces(sent.size() * sizeof(float));
  EXPECT_EQ(pieces, 3);
  for (int64_t piece = 0; piece < pieces; ++piece) {
    EXPECT_FALSE(receiver.complete());
    v1::Tensor message;
    EncodePiece<float>(shape, sent, piece, &message);
    EXPECT_LE(static_cast<int64_t>(message.data().size()), kMaxPieceBytes);
    ASSERT_TRUE(receiver.Add(message).ok());
  }
  EXPECT_TRUE(receiver.complete());
  EXPECT_EQ(received, sent);
}

TEST(TensorCodecTest, AnEmptyTensorIsCompleteOnceItsPieceHasCome) {
  std::vector<float> none;
  TensorReceiver receiver("own_centers", {0, 16}, absl::MakeSpan(none));
  EXPECT_FALSE(receiver.complete());
  EXPECT_TRUE(receiver.Add(EncodeTensor<float>({0, 16}, none)).ok());
  EXPECT_TRUE(receiver.complete());
}

TEST(TensorCodecTest, WrongDtypeShapeAndSizeAreRefusedByName) {
  std::vector<float> out(6);
  const std::vector<float> data = Ramp(6);
  const std::vector<int64_t> labels(6);
  EXPECT_THAT(DecodeTensor<float>("E", {2, 3}, EncodeTensor<int64_t>({2, 3}, labels), absl::MakeSpan(out)).message(),
              HasSubstr("E has dtype DTYPE_INT64, expected DTYPE_FLOAT32"));
  EXPECT_THAT(DecodeTensor<float>("E", {2, 3}, EncodeTensor<float>({3, 2}, data), absl::MakeSpan(out)).message(),
              HasSubstr("E has shape [3, 2], expected [2, 3]"));
  v1::Tensor shortened = EncodeTensor<float>({2, 3}, data);
  shortened.mutable_data()->pop_back();
  EXPECT_THAT(DecodeTensor<float>("E", {2, 3}, shortened, absl::MakeSpan(out)).message(), HasSubstr("fewer bytes"));
  v1::Tensor longer = EncodeTensor<float>({2, 3}, data);
  longer.mutable_data()->append("x");
  EXPECT_THAT(DecodeTensor<float>("E", {2, 3}, longer, absl::MakeSpan(out)).message(),
              HasSubstr("25 bytes at byte 0 of 24"));
}

TEST(TensorCodecTest, AGapBetweenPiecesIsRefused) {
  std::vector<float> out(6);
  TensorReceiver receiver("E", {2, 3}, absl::MakeSpan(out));
  v1::Tensor piece = EncodeTensor<float>({2, 3}, Ramp(6));
  piece.set_offset(4);
  EXPECT_THAT(receiver.Add(piece).message(), HasSubstr("a piece at byte 4, expected one at 0"));
}

}  // namespace
}  // namespace arcshard
