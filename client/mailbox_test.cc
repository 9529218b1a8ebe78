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
  if (const auto* const detached = std::get_if<Mailbox::Detached>(&*event)) {
    return absl::StrCat("detached ", detached->why.ToString());
  }
  if (const auto* const welcome = std::get_if<Welcome>(&*event)) return absl::StrCat("welcome ", welcome->id);
  if (const auto* const view = std::get_if<ViewAnnouncement>(&*event)) return ToString(view->view);
  if (const auto* const install = std::get_if<Install>(&*event))
    return absl::StrCat("install ", ToString(install->view));
  if (const auto* const decision = std::get_if<Decision>(&*event)) return absl::StrCat("decision ", decision->step);
  return absl::StrCat("proceed in ", ToString(std::get<Proceed>(*event).view));
}

class MailboxTest : public ::testing::Test {
 protected:
  Decision DecisionOf(uint64_t step) { return {{1, 1}, step, Outcome::kCommit, 0.1, {}}; }
  ViewAnnouncement ViewOf(uint64_t counter) {
    ViewAnnouncement view;
    view.view = {1, counter};
    return view;
  }

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
  const Proceed proceed{{1, 1}, {NextAction::kEvaluate, {}, true}, {.skipped = 3}};
  ASSERT_TRUE(mailbox_.OnProceed(proceed).ok());
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  EXPECT_EQ(mailbox_.TakeProceed(), proceed);
  EXPECT_EQ(mailbox_.TakeProceed(), std::nullopt);
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 1");
}

TEST_F(MailboxTest, AStopIsToldOnceItCanBeTaken) {
  std::optional<Proceed> taken;
  mailbox_.OnStop([&] { taken = mailbox_.TakeProceed(); });
  ASSERT_TRUE(mailbox_.OnProceed({{1, 1}, {NextAction::kEvaluate, {}, true}}).ok());
  EXPECT_EQ(taken, std::nullopt);
  EXPECT_TRUE(mailbox_.TakeProceed().has_value());
  ASSERT_TRUE(mailbox_.OnProceed({{1, 1}, {NextAction::kStop, {}, false}}).ok());
  EXPECT_EQ(taken, (Proceed{{1, 1}, {NextAction::kStop, {}, false}}));
}

TEST_F(MailboxTest, ALossOfTheCoordinatorComesInItsPlaceAndMessagesFollowIt) {
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  mailbox_.OnDetached(absl::UnavailableError("lost it"));
  ASSERT_TRUE(mailbox_.OnWelcome(Welcome{.id = 3, .config_yaml = ""}).ok());
  ASSERT_TRUE(mailbox_.OnView(ViewOf(2)).ok());
  ASSERT_TRUE(mailbox_.OnInstall({{1, 2}, {}}).ok());
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 1");
  EXPECT_EQ(Describe(mailbox_.Await()), "detached UNAVAILABLE: lost it");
  EXPECT_EQ(Describe(mailbox_.Await()), "welcome 3");
  EXPECT_EQ(Describe(mailbox_.Await()), "view 1.2");
  EXPECT_EQ(Describe(mailbox_.Await()), "install view 1.2");
}

TEST_F(MailboxTest, ASettledCheckpointIsNothingToAWorker) {
  ASSERT_TRUE(mailbox_.OnCheckpointSettled({{5, 1}, true}).ok());
  EXPECT_EQ(Describe(mailbox_.Await(clock_.Now())), "nothing");
}

TEST_F(MailboxTest, AQueuedViewInterruptsUntilItIsTaken) {
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  EXPECT_FALSE(mailbox_.interrupted());
  ASSERT_TRUE(mailbox_.OnView(ViewOf(2)).ok());
  EXPECT_TRUE(mailbox_.interrupted());
  ASSERT_TRUE(mailbox_.OnView(ViewOf(3)).ok());
  EXPECT_EQ(Describe(mailbox_.Await()), "decision 1");
  EXPECT_EQ(Describe(mailbox_.Await()), "view 1.2");
  EXPECT_TRUE(mailbox_.interrupted());
  EXPECT_EQ(Describe(mailbox_.Await()), "view 1.3");
  EXPECT_FALSE(mailbox_.interrupted());
}

TEST_F(MailboxTest, ALossOfTheCoordinatorInterruptsAndSoDoesTheEnd) {
  mailbox_.OnDetached(absl::UnavailableError("lost it"));
  EXPECT_TRUE(mailbox_.interrupted());
  mailbox_.Await();
  EXPECT_FALSE(mailbox_.interrupted());
  ASSERT_TRUE(mailbox_.OnWelcome({}).ok());
  ASSERT_TRUE(mailbox_.OnInstall({{1, 2}, {}}).ok());
  ASSERT_TRUE(mailbox_.OnProceed({{1, 2}, {}}).ok());
  EXPECT_FALSE(mailbox_.interrupted());
  mailbox_.OnClosed(absl::OkStatus());
  EXPECT_TRUE(mailbox_.interrupted());
}

TEST_F(MailboxTest, EachInterruptionIsToldOnceItCanBeTakenAndNothingElseIs) {
  std::vector<std::string> told;
  mailbox_.OnInterrupt([&] {
    EXPECT_TRUE(mailbox_.interrupted());
    told.push_back(Describe(mailbox_.Await()));
  });
  ASSERT_TRUE(mailbox_.OnView(ViewOf(2)).ok());
  mailbox_.OnDetached(absl::UnavailableError("lost it"));
  ASSERT_TRUE(mailbox_.OnWelcome({}).ok());
  ASSERT_TRUE(mailbox_.OnInstall({{1, 2}, {}}).ok());
  ASSERT_TRUE(mailbox_.OnDecision(DecisionOf(1)).ok());
  ASSERT_TRUE(mailbox_.OnProceed({{1, 2}, {NextAction::kStop, {}}}).ok());
  EXPECT_THAT(told, ElementsAre("view 1.2", "detached UNAVAILABLE: lost it"));
  mailbox_.OnClosed(absl::AbortedError("over"));
  EXPECT_THAT(told, ElementsAre("view 1.2", "detached UNAVAILABLE: lost it", "ABORTED: over"));
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
