#include "coordinator/members/suspicions.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

constexpr Seat kShard0{Role::kShard, 0}, kShard1{Role::kShard, 1};
constexpr Seat kWorker0{Role::kWorker, 0}, kWorker1{Role::kWorker, 1}, kWorker2{Role::kWorker, 2};
constexpr absl::Duration kGrace = absl::Milliseconds(500);

class SuspicionsTest : public ::testing::Test {
 protected:
  void Members(uint32_t shards, uint32_t workers) {
    view_.shards.clear();
    view_.workers.clear();
    for (uint32_t id = 0; id < shards; ++id) view_.shards.push_back({.id = id, .address = "h:1", .range = {}});
    for (uint32_t id = 0; id < workers; ++id) view_.workers.push_back({.id = id, .rendezvous = "h:1"});
  }
  void Reports(const Seat& reporter, std::vector<uint32_t> shards, std::vector<uint32_t> workers = {}) {
    suspicions_.Report(reporter, {.view = {}, .shards = shards, .workers = workers, .sentence = "cannot connect"},
                       now_);
  }
  // What follows once the grace is over.
  std::optional<Suspicions::Verdict> Judge() {
    now_ += kGrace;
    return suspicions_.Judge(view_, last_holder_, now_);
  }
  // `report` is repeated, in one view after another. Returns who is out after the third time; before that nobody is.
  template <typename Report>
  std::optional<Seat> OutAfterThree(Report report) {
    for (size_t time = 1; time < Suspicions::kMostReports; ++time) {
      report();
      const std::optional<Suspicions::Verdict> verdict = Judge();
      EXPECT_TRUE(verdict.has_value() && !verdict->out.has_value()) << time;
    }
    report();
    const std::optional<Suspicions::Verdict> verdict = Judge();
    return verdict.has_value() ? verdict->out : std::nullopt;
  }

  MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  ViewAnnouncement view_;
  std::optional<Seat> last_holder_;
  Suspicions suspicions_{kGrace};
};

TEST_F(SuspicionsTest, AReportWaitsForADeathThatExplainsIt) {
  Members(2, 2);
  EXPECT_FALSE(suspicions_.Judge(view_, last_holder_, now_).has_value());
  Reports(kWorker0, {1});
  EXPECT_FALSE(suspicions_.Judge(view_, last_holder_, now_).has_value());
  suspicions_.Explain();
  EXPECT_FALSE(Judge().has_value());
  Reports(kWorker0, {1});
  const std::optional<Suspicions::Verdict> verdict = Judge();
  ASSERT_TRUE(verdict.has_value());
  EXPECT_FALSE(verdict->out.has_value());
  EXPECT_THAT(verdict->sentence, HasSubstr("worker 0: cannot connect"));
  EXPECT_FALSE(Judge().has_value()) << "it is judged once";
}

TEST_F(SuspicionsTest, WhoHasWaitedLongEnoughIsHeardAtOnce) {
  Members(2, 2);
  suspicions_.ReportWaiting(kWorker0, {.view = {}, .workers = {0, 1}, .sentence = "waits"}, now_);
  EXPECT_TRUE(suspicions_.Judge(view_, last_holder_, now_).has_value());
}

TEST_F(SuspicionsTest, AShardThatMoreThanHalfOfTheWorkersReportIsOut) {
  Members(2, 3);
  EXPECT_EQ(OutAfterThree([this] {
              Reports(kWorker0, {1});
              Reports(kWorker2, {1});
            }),
            kShard1);
}

TEST_F(SuspicionsTest, AWorkerThatAloneReportsAShardIsOut) {
  Members(2, 2);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker1, {0}); }), kWorker1);
}

TEST_F(SuspicionsTest, AWorkerWithABadNetworkCardDoesNotEvictEveryShard) {
  Members(3, 2);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {0, 1, 2}); }), kWorker0);
}

TEST_F(SuspicionsTest, TheOnlyWorkerIsBelievedIfItReachesAnotherShard) {
  Members(2, 1);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {1}); }), kShard1);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {0, 1}); }), kWorker0);
}

TEST_F(SuspicionsTest, TheOnlyWorkerIsOutIfItDoesNotReachTheOnlyShard) {
  Members(1, 1);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {0}); }), kWorker0);
}

TEST_F(SuspicionsTest, OfTwoWorkersTheHigherNumberedIsOutWhoeverReports) {
  Members(2, 2);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {}, {1}); }), kWorker1);
  EXPECT_EQ(OutAfterThree([this] {
              Reports(kWorker0, {}, {0, 1});
              Reports(kWorker1, {}, {0, 1});
            }),
            kWorker1);
}

TEST_F(SuspicionsTest, OfThreeWorkersTheOneInMostReportsIsOut) {
  Members(2, 3);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {}, {1, 2}); }), kWorker0);
}

TEST_F(SuspicionsTest, WhoWaitsForAWorkerThatGaveUpBecauseOfAShardSaysNothingNew) {
  Members(3, 3);
  EXPECT_EQ(OutAfterThree([this] {
              Reports(kWorker0, {}, {1, 2});
              Reports(kWorker1, {}, {0, 2});
              Reports(kWorker2, {1});
            }),
            kWorker2);
}

TEST_F(SuspicionsTest, TheLastWorkerThatHoldsTheStateIsNeverOut) {
  Members(2, 2);
  last_holder_ = kWorker1;
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {}, {1}); }), kWorker0);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker1, {0}); }), kShard0);
  Members(2, 1);
  last_holder_ = kWorker0;
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {0, 1}); }), kWorker0) << "its network card is bad";
}

TEST_F(SuspicionsTest, BothEndsOfALinkCountOncePerView) {
  Members(2, 2);
  for (int view = 0; view < 2; ++view) {
    Reports(kWorker0, {}, {1});
    Reports(kWorker1, {}, {0});
    EXPECT_FALSE(Judge()->out.has_value());
  }
}

TEST_F(SuspicionsTest, ReportsOfLongAgoAreForgotten) {
  Members(2, 2);
  for (int i = 0; i < 5; ++i) {
    Reports(kWorker1, {0});
    EXPECT_FALSE(Judge()->out.has_value()) << i;
    now_ += Suspicions::kMemory * 0.6;
  }
}

TEST_F(SuspicionsTest, AfterSomebodyIsOutItsReportsAreForgotten) {
  Members(2, 2);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker1, {0}); }), kWorker1);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker1, {0}); }), kWorker1) << "it takes three again";
}

TEST_F(SuspicionsTest, AShardThatCannotReadALogPutsNobodyOutButTheLogIsGivenUp) {
  Members(2, 2);
  for (int time = 1; time <= 3; ++time) {
    Reports(kShard1, {0});
    const std::optional<Suspicions::Verdict> verdict = Judge();
    ASSERT_TRUE(verdict.has_value());
    EXPECT_FALSE(verdict->out.has_value());
    EXPECT_EQ(verdict->log_problem.empty(), time < 3) << time;
  }
}

TEST_F(SuspicionsTest, WhoIsNotInTheViewIsNotSuspected) {
  Members(2, 2);
  EXPECT_EQ(OutAfterThree([this] { Reports(kWorker0, {7}, {9}); }), std::nullopt);
}

}  // namespace
}  // namespace arcshard::coordinator
