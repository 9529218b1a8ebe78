#include "common/base/token.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <thread>

#include "common/base/testing/refused_call.h"

namespace arcshard {
namespace {

TEST(TokenTest, NoTwoTokensAreTheSame) {
  std::set<std::string> tokens;
  for (int i = 0; i < 1000; ++i) tokens.insert(NewToken());
  EXPECT_EQ(tokens.size(), 1000u);
  EXPECT_EQ(tokens.begin()->size(), kTokenBytes);
}

TEST(TokenTest, WhereTheKernelDoesNotAllowTheCallTokensDifferToo) {
  for (const int error : {ENOSYS, EPERM}) {
    bool refused = false;
    std::set<std::string> tokens;
    std::thread([&] {
      refused = RefuseCall(SYS_getrandom, error);
      for (int i = 0; i < 10; ++i) tokens.insert(NewToken());
    }).join();
    if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
    EXPECT_EQ(tokens.size(), 10u) << error;
    EXPECT_EQ(tokens.begin()->size(), kTokenBytes) << error;
  }
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
