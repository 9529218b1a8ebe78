#include "common/base/failure_details.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

constexpr FailureDetails kDetails = {FailureCause::kCheckpointUnreadable, 27036};

TEST(FailureDetails, TravelOnAStatusAndSurviveAnnotation) {
  const absl::Status status = WithDetails(absl::DataLossError("crc32c differs"), kDetails);
  EXPECT_EQ(DetailsOf(status), kDetails);
  const absl::Status annotated = Annotate(Annotate(status, "shard 1"), "step 3");
  EXPECT_EQ(annotated.message(), "step 3: shard 1: crc32c differs");
  EXPECT_EQ(DetailsOf(annotated), kDetails);
}

TEST(FailureDetails, AreTheDefaultsWhereAStatusCarriesNone) {
  EXPECT_EQ(DetailsOf(absl::DataLossError("crc32c differs")), FailureDetails{});
  EXPECT_EQ(DetailsOf(absl::OkStatus()), FailureDetails{});
}

TEST(FailureDetails, AnErrorOfReadingACheckpointBlamesItOnlyWhereItsBytesAreMissingOrWrong) {
  const auto cause = [](absl::Status status) { return DetailsOf(BlameCheckpoint(std::move(status))).cause; };
  EXPECT_EQ(cause(absl::DataLossError("crc32c differs")), FailureCause::kCheckpointUnreadable);
  EXPECT_EQ(cause(absl::NotFoundError("no such file")), FailureCause::kCheckpointUnreadable);
  EXPECT_EQ(cause(absl::UnavailableError("the disk does not answer")), FailureCause::kOther);
  EXPECT_TRUE(BlameCheckpoint(absl::OkStatus()).ok());
  const absl::Status of_a_process = WithDetails(absl::DataLossError(""), {FailureCause::kOther, 7});
  EXPECT_EQ(DetailsOf(BlameCheckpoint(of_a_process)).pid, 7);
}

TEST(FailureDetails, AreReadBackFromTheirText) {
  for (const FailureDetails& details : {kDetails, FailureDetails{}, FailureDetails{FailureCause::kOther, 12},
                                        FailureDetails{FailureCause::kMemberLeft, 3}}) {
    EXPECT_EQ(ParseFailureDetails(ToString(details)), details) << ToString(details);
  }
  for (const char* text : {"", "other", "other 1 2", "other x", "burnt 3", " other 1", "other 1\n"}) {
    EXPECT_EQ(ParseFailureDetails(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace arcshard
