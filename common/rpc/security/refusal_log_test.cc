#include "common/rpc/security/refusal_log.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

TEST(RefusalLogTest, AFloodOfRefusalsIsCountedInsteadOfLogged) {
  RefusalLog log;
  MonotonicTime now = MonotonicTime();
  int lines = 0;
  for (int i = 0; i < 1000; ++i) lines += log.Line(absl::StrCat("refused peer ", i), now).has_value() ? 1 : 0;
  EXPECT_EQ(lines, RefusalLog::kMostLines);
  now += RefusalLog::kPeriod;
  EXPECT_EQ(log.Line("refused", now), "refused (990 refusals before this one were not logged)");
  EXPECT_EQ(log.Line("refused", now), "refused");
}

}  // namespace
}  // namespace arcshard
