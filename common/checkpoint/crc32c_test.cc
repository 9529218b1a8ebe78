#include "common/checkpoint/crc32c.h"

#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

absl::Span<const std::byte> BytesOf(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size());
}

TEST(Crc32cTest, KnownBytesHaveTheKnownCrc) {
  EXPECT_EQ(Crc32c(BytesOf("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c({}), 0u);
  // RFC 3720, B.4.
  EXPECT_EQ(Crc32c(std::vector<std::byte>(32, std::byte{0})), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43u);
}

TEST(Crc32cTest, PiecesMakeTheCrcOfTheWhole) {
  const absl::string_view text = "The quick brown fox jumps over the lazy dog, again and again and again.";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(BytesOf(text.substr(cut)), Crc32c(BytesOf(text.substr(0, cut)))), Crc32c(BytesOf(text))) << cut;
  }
}

}  // namespace
}  // namespace arcshard
