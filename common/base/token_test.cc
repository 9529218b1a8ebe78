#include "common/base/token.h"

#include <gtest/gtest.h>

#include <set>

namespace arcshard {
namespace {

TEST(TokenTest, NoTwoTokensAreTheSame) {
  std::set<std::string> tokens;
  for (int i = 0; i < 1000; ++i) tokens.insert(NewToken());
  EXPECT_EQ(tokens.size(), 1000u);
  EXPECT_EQ(tokens.begin()->size(), kTokenBytes);
}

TEST(TokenTest, OnlyTheSameBytesAreTheSameToken) {
  const std::string token("\0a-token-of-16-b", kTokenBytes);
  EXPECT_TRUE(SameToken(token, std::string(token)));
  EXPECT_FALSE(SameToken(token, ""));
  EXPECT_FALSE(SameToken(token, token.substr(0, kTokenBytes - 1)));
  for (size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = static_cast<char>(other[i] ^ 0x80);
    EXPECT_FALSE(SameToken(token, other)) << i;
  }
}

}  // namespace
}  // namespace arcshard
