#include "coordinator/policy/decisions.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

TEST(IsIn, FindsTheMembersOfAView) {
  ViewAnnouncement view;
  view.shards = {{.id = 0, .address = "h:1", .range = {}}, {.id = 1, .address = "h:2", .range = {}}};
  view.workers = {{.id = 1, .rendezvous = "h:3"}, {.id = 4, .rendezvous = "h:4"}};
  EXPECT_TRUE(IsIn(view, {Role::kShard, 0}));
  EXPECT_TRUE(IsIn(view, {Role::kShard, 1}));
  EXPECT_FALSE(IsIn(view, {Role::kShard, 4}));
  EXPECT_TRUE(IsIn(view, {Role::kWorker, 1}));
  EXPECT_TRUE(IsIn(view, {Role::kWorker, 4}));
  EXPECT_FALSE(IsIn(view, {Role::kWorker, 0}));
  EXPECT_FALSE(IsIn(view, {Role::kWorker, 2}));
}

TEST(DescribeWaiting, SaysForWhom) {
  EXPECT_EQ(DescribeWaiting({.shards_wanted = 3, .shards_here = 1, .workers_wanted = 2, .workers_here = 1}),
            "waiting for 2 of 3 shards and 1 of 2 workers");
  EXPECT_EQ(DescribeWaiting({.shards_wanted = 1, .shards_here = 0, .workers_wanted = 2, .workers_here = 2}),
            "waiting for 1 of 1 shard");
  EXPECT_EQ(DescribeWaiting(
                {.shards_wanted = 1, .shards_here = 1, .workers_wanted = 2, .workers_here = 2, .datasets_here = 1}),
            "waiting for the data set of 1 of 2 workers");
  EXPECT_EQ(DescribeWaiting(
                {.shards_wanted = 1, .shards_here = 1, .workers_wanted = 2, .workers_here = 2, .datasets_here = 2}),
            "");
}

TEST(CheckSameData, NamesBothWorkersAndWhatDiffers) {
  const NamedDataset first{"worker 0 (pid 1 on a)", {100, 10, 7}};
  EXPECT_TRUE(CheckSameData(first, {"worker 1 (pid 2 on b)", {100, 10, 7}}).ok());
  const auto samples = CheckSameData(first, {"worker 1 (pid 2 on b)", {101, 10, 7}});
  EXPECT_EQ(samples.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(samples.message()),
              HasSubstr("number of samples: worker 0 (pid 1 on a) has 100, worker 1 (pid 2 on b) has 101"));
  EXPECT_THAT(std::string(CheckSameData(first, {"w", {100, 11, 7}}).message()), HasSubstr("number of classes"));
  EXPECT_THAT(std::string(CheckSameData(first, {"w", {100, 10, 8}}).message()),
              HasSubstr("fingerprint 0000000000000007, w has fingerprint 0000000000000008"));
}

TEST(DecideNumClasses, TakesTheConfiguredNumberOrElseTheDatas) {
  EXPECT_EQ(*DecideNumClasses(0, 964), 964);
  EXPECT_EQ(*DecideNumClasses(1000, 964), 1000);
  EXPECT_EQ(*DecideNumClasses(964, 0), 964);
  EXPECT_THAT(std::string(DecideNumClasses(10, 964).status().message()), HasSubstr("head.classes is 10"));
  EXPECT_EQ(DecideNumClasses(0, 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DecideNumClasses(0, -5).status().code(), absl::StatusCode::kInvalidArgument);
}

NamedVote Worker(uint32_t id, bool finite, double loss, std::string reason = "") {
  return {Role::kWorker,
          id,
          absl::StrCat("worker ", id),
          {.step = 1, .finite = finite, .loss = loss, .target_cosine = 0.5, .reason = reason, .corrupt_records = id}};
}
NamedVote Shard(uint32_t id, bool finite, std::string reason = "") {
  return {Role::kShard, id, absl::StrCat("shard ", id), {.step = 1, .finite = finite, .reason = reason}};
}

TEST(DecideStep, CommitsWhenEveryVoteIsFinite) {
  const StepVerdict verdict = DecideStep({Shard(0, true), Worker(2, true, 3.5), Worker(1, true, 3.5)});
  EXPECT_EQ(verdict.outcome, Outcome::kCommit);
  EXPECT_EQ(verdict.reason, "");
  EXPECT_EQ(verdict.loss, 3.5);
  EXPECT_EQ(verdict.target_cosine, 0.5);
  EXPECT_EQ(verdict.corrupt_records, 3u);
}

TEST(DecideStep, SkipsForOneVoteThatIsNotFiniteWhateverTheOrder) {
  std::vector<NamedVote> votes = {Shard(0, false, "z of micro-batch 3"), Worker(1, false, 1.0, "layer2.0.bn1.weight"),
                                  Worker(0, true, 1.0), Shard(1, true)};
  for (int rotation = 0; rotation < 4; ++rotation) {
    const StepVerdict verdict = DecideStep(votes);
    EXPECT_EQ(verdict.outcome, Outcome::kSkip);
    EXPECT_EQ(verdict.reason, "worker 1: layer2.0.bn1.weight");
    std::rotate(votes.begin(), votes.begin() + 1, votes.end());
  }
  EXPECT_EQ(DecideStep({Worker(0, true, 1.0), Shard(1, false, "z of micro-batch 3")}).reason,
            "shard 1: z of micro-batch 3");
}

TEST(DecideStep, SkipsForALossThatIsNotFiniteEvenIfItsVoteSaysOtherwise) {
  for (const double loss : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const StepVerdict verdict = DecideStep({Worker(0, true, loss), Shard(0, true)});
    EXPECT_EQ(verdict.outcome, Outcome::kSkip);
    EXPECT_EQ(verdict.reason, "worker 0: the loss is not finite");
  }
}

TEST(DecideStep, AnyShardMayWantACheckpoint) {
  NamedVote wants = Shard(1, true);
  wants.vote.wants_checkpoint = true;
  EXPECT_TRUE(DecideStep({Worker(0, true, 1.0), Shard(0, true), wants}).wants_checkpoint);
  EXPECT_FALSE(DecideStep({Worker(0, true, 1.0), Shard(0, true), Shard(1, true)}).wants_checkpoint);
}

TEST(DecideNext, IsAStepUnlessSomethingElseIsDue) {
  EXPECT_EQ(DecideNext({.step = 0, .total_steps = 3}), NextAction::kStep);
  EXPECT_EQ(DecideNext({.step = 2, .total_steps = 3}), NextAction::kStep);
  EXPECT_EQ(DecideNext({.step = 2, .total_steps = 3, .evaluation_due = true}), NextAction::kEvaluate);
  EXPECT_EQ(DecideNext({.step = 3, .total_steps = 3, .evaluation_due = true}), NextAction::kEvaluate);
  EXPECT_EQ(DecideNext({.step = 3, .total_steps = 3}), NextAction::kStop);
  EXPECT_EQ(DecideNext({.step = 1, .total_steps = 3, .stop_requested = true, .evaluation_due = true}),
            NextAction::kStop);
}

}  // namespace
}  // namespace arcshard::coordinator
