#include "common/base/status_macros.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

absl::StatusOr<int> Half(int x) {
  if (x % 2 != 0) return absl::InvalidArgumentError("odd");
  return x / 2;
}

absl::StatusOr<int> Quarter(int x) {
  ASSIGN_OR_RETURN(const int half, Half(x));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status Check(int x) {
  RETURN_IF_ERROR(Quarter(x).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ValuesPassThrough) { EXPECT_EQ(*Quarter(12), 3); }

TEST(StatusMacrosTest, TheFirstErrorIsReturned) {
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Check(3).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Check(8).ok());
}

TEST(StatusMacrosTest, AnnotateKeepsTheCodeAndNamesTheContext) {
  const absl::Status status = Annotate(absl::DataLossError("truncated"), "train.rec");
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "train.rec: truncated");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "train.rec").ok());
}

}  // namespace
}  // namespace arcshard
