#include "client/mailbox.h"

#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;

std::string Describe(const std::optional<Mailbox::Event>& event) {
  if (!event.has_value()) return "nothing";
  if (const auto* const closed = std::get_if<Mailbox::Closed>(&*event)) return closed->status.ToString();
  if (const auto* const decision = std::get_if<Decision>(&*event)) return absl::StrCat("decision ", decision->step);
  return "another message";
}

class MailboxTest : public ::testing::Test {
 protected:
  Decision DecisionOf(uint64_t step) { return {{1, 1}, step, Outcome::kCommit, 0.1, {}}; }

  FakeClock clock_;
  Mailbox mailbox_{&clock_};
};

TEST_F(MailboxTest, MessagesComeInTheirOrderAndTheEndAfterThem) {
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(2)).ok());
  mailbox_.OnClosed(absl::OkStatus());
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 1");
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 2");
  EXPECT_EQ(Describe(mailbox_.Await()), "OK");
  EXPECT_EQ(Describe(mailbox_.Await()), "OK");
}

TEST_F(MailboxTest, AnEndWithAnErrorOvertakesTheMessagesBeforeIt) {
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  mailbox_.OnClosed(absl::AbortedError("shard 1 died"));
  EXPECT_EQ(Describe(mailbox_.Await()), "ABORTED: shard 1 died");
}

TEST_F(MailboxTest, AWaitEndsAtItsDeadlineAndNotBefore) {
  const MonotonicTime deadline = clock_.Now() + absl::Hours(1);
  EXPECT_EQ(Describe(mailbox_.Await(clock_.Now())), "nothing");
  std::future<std::string> waits = std::async(std::launch::async, [&] { return Describe(mailbox_.Await(deadline)); });
  clock_.Advance(absl::Minutes(59));
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  EXPECT_EQ(waits.get(), "decision 1");
  waits = std::async(std::launch::async, [&] { return Describe(mailbox_.Await(deadline)); });
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(waits.get(), "nothing");
}

TEST_F(MailboxTest, AWaitEndsAtItsDeadlineAlthoughTheDateIsSet) {
  const MonotonicTime deadline = clock_.Now() + absl::Hours(1);
  clock_.SetForward(absl::Hours(24));
  std::future<std::string> waits = std::async(std::launch::async, [&] { return Describe(mailbox_.Await(deadline)); });
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  EXPECT_EQ(waits.get(), "decision 1");
  waits = std::async(std::launch::async, [&] { return Describe(mailbox_.Await(deadline)); });
  clock_.SetBack(absl::Hours(48));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(waits.get(), "nothing");
}

TEST_F(MailboxTest, OnlyAMessageToProceedIsTakenDuringAnEvaluation) {
  EXPECT_EQ(mailbox_.TakeProceed(), std::nullopt);
  const Next next{NextAction::kEvaluate, {}, true};
  ASSERT_TRUE(mailbox_.OnProceed(next).ok());
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  EXPECT_EQ(mailbox_.TakeProceed(), next);
  EXPECT_EQ(mailbox_.TakeProceed(), std::nullopt);
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 1");
}

TEST_F(MailboxTest, AStopIsToldOnceItCanBeTaken) {
  std::optional<Next> taken;
  mailbox_.OnStop([&] { taken = mailbox_.TakeProceed(); });
  ASSERT_TRUE(mailbox_.OnProceed({NextAction::kEvaluate, {}, true}).ok());
  EXPECT_EQ(taken, std::nullopt);
  EXPECT_TRUE(mailbox_.TakeProceed().has_value());
  ASSERT_TRUE(mailbox_.OnProceed({NextAction::kStop, {}, false}).ok());
  EXPECT_EQ(taken, (Next{NextAction::kStop, {}, false}));
}

TEST_F(MailboxTest, TheEndWakesAWaitThatHasADeadline) {
  std::future<std::string> waits =
      std::async(std::launch::async, [&] { return Describe(mailbox_.Await(clock_.Now() + absl::Hours(1))); });
  EXPECT_FALSE(mailbox_.closed());
  mailbox_.OnClosed(absl::UnavailableError("lost the coordinator at a:1"));
  EXPECT_TRUE(mailbox_.closed());
  EXPECT_EQ(waits.get(), "UNAVAILABLE: lost the coordinator at a:1");
}

TEST_F(MailboxTest, EveryCallbackHearsOfTheEndOnceAndALateOneAtOnce) {
  std::vector<std::string> told;
  mailbox_.OnClose([&](const absl::Status& status) { told.push_back(absl::StrCat("first ", status.message())); });
  mailbox_.OnClose([&](const absl::Status& status) {
    told.push_back(absl::StrCat("second ", status.message()));
    EXPECT_EQ(Describe(mailbox_.Await()), "ABORTED: over") << "the mailbox is not locked meanwhile";
  });
  mailbox_.OnClosed(absl::AbortedError("over"));
  mailbox_.OnClose([&](const absl::Status& status) { told.push_back(absl::StrCat("late ", status.message())); });
  EXPECT_THAT(told, ElementsAre("first over", "second over", "late over"));
}

}  // namespace
}  // namespace arcshard::client
