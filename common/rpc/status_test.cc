#include "common/rpc/status.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(StatusTest, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "shard 2: step 17 was decided");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
}

}  // namespace
}  // namespace arcshard
