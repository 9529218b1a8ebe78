#include "common/rpc/convert/convert_views.h"

#include <functional>
#include <string>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

// The view after a loss at step 17: shard 1, which was replaced, rebuilds its range from step 12.
ViewAnnouncement Announcement() {
  const Decision last{{3, 1}, 17, Outcome::kCommit, 0.05, {NextAction::kStop, {}}, 0x1717};
  return {.view = {3, 2},
          .num_classes = 964,
          .shards = {{0, "127.0.0.1:5000", {0, 322}, true, true, "token of shard 0"},
                     {1, "127.0.0.1:5001", {322, 322}, false, false, "token of shard 1"},
                     {2, "127.0.0.1:5002", {322, 964}, true, false}},
          .workers = {{0, "127.0.0.1:6000", "token of worker0", true}, {4, "127.0.0.1:6001"}},
          .state = {17, 0x1717},
          .last = last,
          .base = {12, 0x1212},
          .checkpoint = "/runs/a/checkpoints/step-00000012.2"};
}

std::string Refusal(const std::function<void(v1::ViewAnnouncement*)>& change) {
  v1::ViewAnnouncement message = ToProto(Announcement());
  change(&message);
  const absl::Status status = FromProto(message).status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ConvertViewsTest, AViewSurvivesTheRoundTrip) {
  EXPECT_EQ(*FromProto(ToProto(Announcement())), Announcement());
  ViewAnnouncement first{.view = {1, 1},
                         .num_classes = 10,
                         .shards = {{0, "127.0.0.1:5000", {0, 10}}},
                         .workers = {{0, "127.0.0.1:6000"}},
                         .state = {},
                         .base = {}};
  EXPECT_EQ(*FromProto(ToProto(first)), first) << "of a new run";
  first.checkpoint = "/runs/a/checkpoints/step-00000000.2";
  EXPECT_EQ(*FromProto(ToProto(first)), first) << "of one that resumes before its first step";
  ViewAnnouncement rollback = Announcement();
  rollback.last = std::nullopt;
  rollback.state = rollback.base;
  EXPECT_EQ(*FromProto(ToProto(rollback)), rollback);
  rollback.base = rollback.state = {12, 0};
  EXPECT_EQ(*FromProto(ToProto(rollback)), rollback) << "a manifest of an earlier version names no lineage";
}

TEST(ConvertViewsTest, AViewWithoutItsNumberOrItsWorkersIsRefused) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->clear_view(); }), "view announcement without a view");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->clear_workers(); }), "a view without workers");
}

TEST(ConvertViewsTest, RangesWithAGapOrShortOfAllClassesAreRefused) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_shards(2)->mutable_range()->set_begin(400); }),
            "the class range [400, 964) of shard 2 does not begin at 322");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->set_num_classes(1000); }),
            "the shards' ranges cover 964 of 1000 classes");
}

TEST(ConvertViewsTest, AStateThatNothingLeadsToIsRefused) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_state()->set_lineage(0x1718); }),
            "view.last leads to step 17 with the lineage 0000000000001717, but view.state is step 17 with the lineage "
            "0000000000001718");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_state()->set_step(18); }),
            "view.last leads to step 17 with the lineage 0000000000001717, but view.state is step 18 with the lineage "
            "0000000000001717");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->clear_last(); }),
            "view.last is missing, but view.state, step 17 with the lineage 0000000000001717, is not view.base, step "
            "12 with the lineage 0000000000001212");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->clear_state(); }),
            "view.base is step 12 with the lineage 0000000000001212, after view.state, step 0 with the lineage "
            "0000000000000000");
}

TEST(ConvertViewsTest, ABaseThatIsLaterThanTheStateOrHasNoFolderIsRefused) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_base()->set_step(18); }),
            "view.base is step 18 with the lineage 0000000000001212, after view.state, step 17 with the lineage "
            "0000000000001717");
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->clear_checkpoint(); }),
            "view.checkpoint is missing, but view.base is step 12 with the lineage 0000000000001212");
}

TEST(ConvertViewsTest, TheLastDecisionIsCheckedLikeAnyOther) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_last()->clear_outcome(); }),
            "decision.outcome 0 is not known");
}

TEST(ConvertViewsTest, AShardThatHasTheLogButNotTheStateIsRefused) {
  EXPECT_EQ(Refusal([](v1::ViewAnnouncement* view) { view->mutable_shards(1)->set_has_log(true); }),
            "shard 1 has the log of a state that it does not hold");
}

}  // namespace
}  // namespace arcshard
