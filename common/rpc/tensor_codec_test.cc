#include "common/rpc/tensor_codec.h"

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/bfloat16.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

constexpr WireType kWireTypes[] = {WireType::kFloat32, WireType::kBfloat16};

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

// Sends the floats as `type`, in as many pieces as they need.
std::vector<float> Sent(WireType type, const std::vector<int64_t>& shape, const std::vector<float>& values) {
  std::vector<float> received(values.size(), -1.0f);
  TensorReceiver receiver("E", type, shape, absl::MakeSpan(received));
  const int64_t pieces = NumPieces(static_cast<int64_t>(values.size()) * BytesOfValue(type));
  for (int64_t piece = 0; piece < pieces; ++piece) {
    EXPECT_FALSE(receiver.complete());
    v1::Tensor message;
    EncodePiece(type, shape, values, piece, &message);
    EXPECT_EQ(message.dtype(), DTypeOf(type));
    EXPECT_EQ(message.offset(), static_cast<uint64_t>(piece * kMaxPieceBytes));
    EXPECT_LE(static_cast<int64_t>(message.data().size()), kMaxPieceBytes);
    const absl::Status status = receiver.Add(message);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(receiver.complete());
  return received;
}

TEST(TensorCodecTest, FloatsArriveAsTheNearestBfloat16) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.0f,
                                     -0.0f,
                                     1.0f + 0x1p-8f,  // a tie, below which the even one is
                                     1.0f + 0x3p-8f,  // and above
                                     -1.0f - 0x1.1p-8f,
                                     kInfinity,
                                     -kInfinity,
                                     std::numeric_limits<float>::max(),
                                     0x1p-133f,  // the smallest of bfloat16
                                     0x1p-134f,  // half of it, a tie
                                     -0x1.8p-134f,
                                     std::numeric_limits<float>::denorm_min()};
  const std::vector<float> nearest = {0.0f,       -0.0f,     1.0f,      1.0f + 0x1p-6f, -1.0f - 0x1p-7f, kInfinity,
                                      -kInfinity, kInfinity, 0x1p-133f, 0.0f,           -0x1p-133f,      0.0f};
  const std::vector<int64_t> shape = {3, 4};
  const std::vector<float> received = Sent(WireType::kBfloat16, shape, values);
  const std::vector<float> unchanged = Sent(WireType::kFloat32, shape, values);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(received[i]), std::bit_cast<uint32_t>(nearest[i])) << values[i];
    EXPECT_EQ(std::bit_cast<uint32_t>(unchanged[i]), std::bit_cast<uint32_t>(values[i])) << values[i];
  }
}

TEST(TensorCodecTest, NaNsArriveAsNaNs) {
  for (const WireType type : kWireTypes) {
    for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xffc00000u}) {
      EXPECT_TRUE(std::isnan(Sent(type, {1}, {std::bit_cast<float>(bits)})[0])) << bits;
    }
  }
}

TEST(TensorCodecTest, WhatWasRoundedBeforeArrivesWithTheSameBits) {
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 0x10000u; ++upper) {
    values.push_back(Widen(RoundToNearest(std::bit_cast<float>(upper << 16))));  // signalling NaNs become quiet ones
  }
  const std::vector<float> received = Sent(WireType::kBfloat16, {256, 256}, values);
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(received[i]), std::bit_cast<uint32_t>(values[i])) << i;
  }
}

TEST(TensorCodecTest, TheSameFloatsTakeHalfAsManyPiecesInBfloat16) {
  const std::vector<int64_t> shape = {1000, 1100};
  std::vector<float> values(1'100'000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) - 100.0f;  // exact in both
  EXPECT_EQ(NumPieces(static_cast<int64_t>(values.size()) * BytesOfValue(WireType::kFloat32)), 5);
  EXPECT_EQ(NumPieces(static_cast<int64_t>(values.size()) * BytesOfValue(WireType::kBfloat16)), 3);
  for (const WireType type : kWireTypes) EXPECT_EQ(Sent(type, shape, values), values);
}

TEST(TensorCodecTest, NoFloatsAreSentAsAnEmptyPieceOfEitherType) {
  for (const WireType type : kWireTypes) EXPECT_TRUE(Sent(type, {0, 16}, {}).empty());
}

TEST(TensorCodecTest, FloatsOfTheOtherTypeAreRefused) {
  const std::vector<float> sent = Ramp(6);
  for (const WireType type : kWireTypes) {
    const WireType other = type == WireType::kFloat32 ? WireType::kBfloat16 : WireType::kFloat32;
    std::vector<float> out(6, -1.0f);
    TensorReceiver receiver("E", type, {2, 3}, absl::MakeSpan(out));
    v1::Tensor message;
    EncodePiece(other, {2, 3}, sent, 0, &message);
    const absl::Status status = receiver.Add(message);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("E has dtype ", v1::DType_Name(DTypeOf(other)), ", expected ",
                                                         v1::DType_Name(DTypeOf(type)))));
    EXPECT_EQ(out, std::vector<float>(6, -1.0f));
  }
}

TEST(TensorCodecTest, PiecesOfBfloat16OfAWrongSizeAreRefused) {
  const auto refused = [](size_t bytes) {
    std::vector<float> out(6);
    TensorReceiver receiver("E", WireType::kBfloat16, {2, 3}, absl::MakeSpan(out));
    v1::Tensor piece;
    EncodePiece(WireType::kBfloat16, {2, 3}, Ramp(6), 0, &piece);
    piece.mutable_data()->resize(bytes);
    const absl::Status status = receiver.Add(piece);
    EXPECT_FALSE(receiver.complete());
    return std::string(status.message());
  };
  EXPECT_THAT(refused(3), HasSubstr("E has a piece of 3 bytes, which ends within a bfloat16"));
  EXPECT_THAT(refused(14), HasSubstr("E has a piece of 14 bytes at byte 0 of 12"));
  EXPECT_THAT(refused(0), HasSubstr("E has a piece of 0 bytes at byte 0 of 12"));
  EXPECT_EQ(refused(10), "") << "more may come";
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
