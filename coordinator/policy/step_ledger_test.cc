#include "coordinator/policy/step_ledger.h"

#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

constexpr Seat kShard0{Role::kShard, 0}, kWorker0{Role::kWorker, 0}, kWorker3{Role::kWorker, 3};

class StepLedgerTest : public ::testing::Test {
 protected:
  static ReadyVote Vote(double loss = 1.0, uint64_t corrupt_records = 0) {
    return {.step = 17, .loss = loss, .corrupt_records = corrupt_records};
  }

  const MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  StepLedger ledger_{17, {{kShard0, "shard 0", 10}, {kWorker3, "worker 3", 23}, {kWorker0, "worker 0", 20}}};
};

TEST_F(StepLedgerTest, IsCompleteOnceEverySeatHasVoted) {
  EXPECT_EQ(ledger_.step(), 17u);
  EXPECT_FALSE(ledger_.first_vote_at().has_value());
  for (const Seat seat : {kWorker3, kShard0}) {
    EXPECT_TRUE(ledger_.Add(seat, Vote(), now_));
    EXPECT_FALSE(ledger_.complete());
  }
  EXPECT_TRUE(ledger_.Add(kWorker0, Vote(), now_));
  EXPECT_TRUE(ledger_.complete());
}

TEST_F(StepLedgerTest, TheFirstVoteOfASeatStands) {
  EXPECT_TRUE(ledger_.Add(kWorker0, Vote(2.5), now_));
  EXPECT_FALSE(ledger_.Add(kWorker0, Vote(3.5), now_ + absl::Seconds(1)));
  EXPECT_FALSE(ledger_.complete());
  ledger_.Add(kWorker3, Vote(), now_);
  ledger_.Add(kShard0, Vote(0.0), now_);
  EXPECT_EQ(ledger_.Verdict().loss, 2.5);
}

TEST_F(StepLedgerTest, KnowsWhoIsMissing) {
  EXPECT_EQ(ledger_.Missing(), (std::vector<Seat>{kShard0, kWorker0, kWorker3}));
  ledger_.Add(kWorker0, Vote(), now_);
  EXPECT_EQ(ledger_.Missing(), (std::vector<Seat>{kShard0, kWorker3}));
}

TEST_F(StepLedgerTest, AnyShardThatWantsACheckpointIsHeard) {
  ReadyVote wants = Vote(0.0);
  wants.wants_checkpoint = true;
  ledger_.Add(kShard0, wants, now_);
  ledger_.Add(kWorker0, Vote(), now_);
  ledger_.Add(kWorker3, Vote(), now_);
  EXPECT_TRUE(ledger_.Verdict().wants_checkpoint);
}

TEST_F(StepLedgerTest, KnowsWhenTheFirstVoteCame) {
  ledger_.Add(kShard0, Vote(), now_);
  ledger_.Add(kWorker0, Vote(), now_ + absl::Seconds(3));
  EXPECT_EQ(ledger_.first_vote_at(), now_);
}

TEST_F(StepLedgerTest, InTheNextStepTheSameSeatsVoteAgain) {
  for (const Seat& seat : {kShard0, kWorker0, kWorker3}) ledger_.Add(seat, Vote(), now_);
  ledger_.BeginNextStep();
  EXPECT_EQ(ledger_.step(), 18u);
  EXPECT_EQ(ledger_.first_vote_at(), std::nullopt);
  EXPECT_EQ(ledger_.Missing(), (std::vector<Seat>{kShard0, kWorker0, kWorker3}));
  ReadyVote vote = Vote(3.5);
  vote.step = 18;
  for (const Seat& seat : {kShard0, kWorker0, kWorker3}) {
    EXPECT_FALSE(ledger_.complete());
    EXPECT_TRUE(ledger_.Add(seat, vote, now_ + absl::Seconds(1)));
  }
  EXPECT_TRUE(ledger_.complete());
  EXPECT_EQ(ledger_.first_vote_at(), now_ + absl::Seconds(1));
  EXPECT_EQ(ledger_.Verdict().loss, 3.5);
}

TEST_F(StepLedgerTest, TheVerdictNamesTheVoterThatWasNotFinite) {
  ReadyVote not_finite = Vote(1.0, 2);
  not_finite.finite = false;
  not_finite.reason = "the gradient of conv1 is not finite";
  ledger_.Add(kWorker3, not_finite, now_);
  ledger_.Add(kWorker0, Vote(2.5, 1), now_);
  ledger_.Add(kShard0, Vote(0.0), now_);
  const StepVerdict verdict = ledger_.Verdict();
  EXPECT_EQ(verdict.outcome, Outcome::kSkip);
  EXPECT_EQ(verdict.reason, "worker 3: the gradient of conv1 is not finite");
  EXPECT_EQ(verdict.culprit, 23);
  EXPECT_EQ(verdict.corrupt_records, 3u);
}

}  // namespace
}  // namespace arcshard::coordinator
