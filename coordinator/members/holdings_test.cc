#include "coordinator/members/holdings.h"

#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

constexpr StatePoint kBase{10, 1010}, kState{17, 1717};

class HoldingsTest : public ::testing::Test {
 protected:
  HoldingsTest() {
    view_.view = {3, 2};
    view_.shards = {{.id = 0, .address = "h:0", .range = {0, 5}, .holds = true, .has_log = true},
                    {.id = 1, .address = "h:1", .range = {5, 9}}};
    view_.workers = {{.id = 2, .rendezvous = "h:2", .holds = true}};
    view_.state = kState;
    view_.last = Decision{.view = {3, 1}, .step = 17, .next = {}, .lineage = kState.lineage};
    view_.base = kBase;
  }
  static Member MemberOf(Role role, uint32_t id) {
    Member member{
        .registration = {.role = role, .address = "h:1", .host = "h"}, .id = id, .registered = {}, .last_heard = {}};
    return member;
  }

  ViewAnnouncement view_;
};

TEST_F(HoldingsTest, TheFirstRangeBeginsAtZeroAndAnUnknownShardHasNone) {
  const HeldState held{.view = {}, .range_ends = {5, 9}, .workers = {}};
  EXPECT_EQ(RangeOfHeld(held, 0), (ClassRange{0, 5}));
  EXPECT_EQ(RangeOfHeld(held, 1), (ClassRange{5, 9}));
  EXPECT_EQ(RangeOfHeld(held, 2), (ClassRange{}));
}

TEST_F(HoldingsTest, WhoHoldsTheViewsStateIsThereAtOnce) {
  Member shard = MemberOf(Role::kShard, 0);
  shard.held = HeldState{.view = {3, 1},
                         .range_ends = {},
                         .workers = {},
                         .state = {16, 1616},
                         .whole = true,
                         .voted_step = 17,
                         .log_base = kBase};
  NoteAnnounced(view_, &shard);
  EXPECT_EQ(shard.view, view_.view);
  EXPECT_EQ(shard.range, (ClassRange{0, 5}));
  EXPECT_EQ(shard.held->view, view_.view);
  EXPECT_EQ(shard.held->range_ends, (std::vector<int64_t>{5, 9}));
  EXPECT_EQ(shard.held->workers, (std::vector<uint32_t>{2}));
  EXPECT_EQ(shard.held->state, kState);
  EXPECT_TRUE(shard.held->whole);
  EXPECT_EQ(shard.held->voted_step, 0u);
  EXPECT_EQ(shard.held->last, view_.last);
  EXPECT_EQ(shard.held->log_base, kBase);
}

TEST_F(HoldingsTest, WhoHasToRebuildItHoldsItOnceItHasJoinedAndHasTheLogThen) {
  Member shard = MemberOf(Role::kShard, 1);
  NoteAnnounced(view_, &shard);
  EXPECT_FALSE(shard.held->whole);
  EXPECT_FALSE(shard.held->log_base.has_value());
  NoteJoined(view_, /*keeps_log=*/true, &shard);
  EXPECT_TRUE(shard.held->whole);
  EXPECT_EQ(shard.held->state, kState);
  EXPECT_EQ(shard.held->log_base, kBase);
}

TEST_F(HoldingsTest, AShardWhoseLogWasDroppedHasNoneOnlyBecauseItJoins) {
  view_.shards[0].has_log = false;
  Member shard = MemberOf(Role::kShard, 0);
  NoteAnnounced(view_, &shard);
  NoteJoined(view_, /*keeps_log=*/true, &shard);
  EXPECT_FALSE(shard.held->log_base.has_value());
  view_.base = view_.state;  // a log that is empty there lacks nothing
  NoteJoined(view_, /*keeps_log=*/true, &shard);
  EXPECT_EQ(shard.held->log_base, kState);
}

TEST_F(HoldingsTest, VotesTellOfTheLog) {
  Member shard = MemberOf(Role::kShard, 1);
  NoteAnnounced(view_, &shard);
  NoteJoined(view_, /*keeps_log=*/true, &shard);
  NoteVote({.view = view_.view, .step = 18, .log_is_dropped = true}, kBase, /*keeps_log=*/true, &shard);
  EXPECT_FALSE(shard.held->log_base.has_value());
  EXPECT_EQ(shard.held->voted_step, 18u);
  NoteVote({.view = view_.view, .step = 19}, {18, 1818}, /*keeps_log=*/true, &shard);
  EXPECT_EQ(shard.held->log_base, (StatePoint{18, 1818}));
  NoteVote({.view = view_.view, .step = 20}, kBase, /*keeps_log=*/false, &shard);
  EXPECT_FALSE(shard.held->log_base.has_value());
}

TEST_F(HoldingsTest, ADecisionIsHeldByAllThatTakePart) {
  Member worker = MemberOf(Role::kWorker, 2);
  NoteAnnounced(view_, &worker);
  NoteJoined(view_, /*keeps_log=*/true, &worker);
  EXPECT_FALSE(worker.held->log_base.has_value()) << "workers have none";
  const Decision decision{.view = view_.view, .step = 18, .next = {}, .lineage = 1818, .counters = {.skipped = 3}};
  NoteDecided(decision, &worker);
  EXPECT_EQ(worker.held->state, decision.after());
}

TEST_F(HoldingsTest, ASingleShardKeepsNoLog) {
  RunConfig config;
  config.cluster.shards = 2;
  EXPECT_TRUE(KeepsLogs(config));
  config.cluster.log_mb = 0;
  EXPECT_FALSE(KeepsLogs(config));
  config.cluster.log_mb = 1;
  config.cluster.shards = 1;
  EXPECT_FALSE(KeepsLogs(config));
}

}  // namespace
}  // namespace arcshard::coordinator
