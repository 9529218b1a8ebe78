#include "coordinator/policy/form_view.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

class FormViewTest : public ::testing::Test {
 protected:
  FormViewTest() {
    config_.data.batch_size = 10;
    config_.data.micro_batch_size = 5;
    config_.schedule.epochs = 2;
    inputs_.view = {7, 3};
    inputs_.shards = {{.id = 4, .address = "h:4", .capacity_bytes = uint64_t{3} << 30},
                      {.id = 1, .address = "h:1", .capacity_bytes = uint64_t{1} << 30}};
    inputs_.workers = {{.id = 5, .address = "h:25"}, {.id = 2, .address = "h:22"}};
    inputs_.data = {100, 8, 42};
  }
  // The view resumes from a checkpoint of step 13.
  void Resume() {
    Manifest manifest;
    manifest.step = 13;
    manifest.num_classes = 8;
    manifest.data = {100, 8, 42};
    resume_ = ResumePoint{"/run/checkpoints/step-00000013.6", manifest};
    inputs_.resume = &resume_;
    inputs_.base = inputs_.chosen.state = {13, 1313};
    inputs_.checkpoint = resume_.folder;
  }
  std::string Error() { return std::string(FormView(config_, inputs_).status().message()); }

  RunConfig config_;
  ResumePoint resume_;
  ViewInputs inputs_;
};

TEST_F(FormViewTest, CutsTheClassesByCapacityInOrderOfIds) {
  const absl::StatusOr<FormedView> formed = FormView(config_, inputs_);
  ASSERT_TRUE(formed.ok()) << formed.status();
  const ViewAnnouncement expected{.view = {7, 3},
                                  .num_classes = 8,
                                  .shards = {{1, "h:1", {0, 2}}, {4, "h:4", {2, 8}}},
                                  .workers = {{2, "h:22"}, {5, "h:25"}},
                                  .state = {},
                                  .base = {}};
  EXPECT_EQ(formed->announcement, expected);
  EXPECT_EQ(formed->plan.total_steps(), 20u);
  EXPECT_EQ(formed->data, inputs_.data);
}

TEST_F(FormViewTest, DoesNotDependOnTheOrderOfTheMembers) {
  const absl::StatusOr<FormedView> formed = FormView(config_, inputs_);
  std::swap(inputs_.shards[0], inputs_.shards[1]);
  std::swap(inputs_.workers[0], inputs_.workers[1]);
  EXPECT_EQ(FormView(config_, inputs_)->announcement, formed->announcement);
}

TEST_F(FormViewTest, TheLearningRateIsScaledFromTheBatchSizeThatItWasGivenFor) {
  const auto rate = [&] { return FormView(config_, inputs_)->schedule.LearningRate(5); };
  const double given = rate();
  config_.schedule.lr_batch_size = 20;
  EXPECT_DOUBLE_EQ(rate(), given / 2);
}

TEST_F(FormViewTest, NamesTheCheckpointThatMembersRestore) {
  Resume();
  const absl::StatusOr<FormedView> formed = FormView(config_, inputs_);
  ASSERT_TRUE(formed.ok()) << formed.status();
  EXPECT_EQ(formed->announcement.state, (StatePoint{13, 1313}));
  EXPECT_EQ(formed->announcement.base, (StatePoint{13, 1313}));
  EXPECT_EQ(formed->announcement.checkpoint, "/run/checkpoints/step-00000013.6");
}

TEST_F(FormViewTest, SaysWhoHoldsTheStateAndWhoHasTheLog) {
  inputs_.chosen.state = {14, 1414};
  inputs_.chosen.last = Decision{.view = {7, 2}, .step = 14, .next = {}, .lineage = 1414};
  inputs_.chosen.holders = {{Role::kShard, 1}, {Role::kShard, 4}, {Role::kWorker, 5}};
  inputs_.chosen.logs = {{Role::kShard, 4}};
  const absl::StatusOr<FormedView> formed = FormView(config_, inputs_);
  ASSERT_TRUE(formed.ok()) << formed.status();
  const ViewAnnouncement& view = formed->announcement;
  EXPECT_EQ(view.state, (StatePoint{14, 1414}));
  EXPECT_EQ(view.last, inputs_.chosen.last);
  EXPECT_TRUE(view.shards[0].holds && !view.shards[0].has_log);
  EXPECT_TRUE(view.shards[1].holds && view.shards[1].has_log);
  EXPECT_FALSE(view.workers[0].holds);
  EXPECT_TRUE(view.workers[1].holds);
}

TEST_F(FormViewTest, KeepsTheRangesThatTheShardsHaveWhateverTheirCapacity) {
  inputs_.ranges = {{0, 7}, {7, 8}};
  const absl::StatusOr<FormedView> formed = FormView(config_, inputs_);
  ASSERT_TRUE(formed.ok()) << formed.status();
  EXPECT_EQ(formed->announcement.shards[0].range, (ClassRange{0, 7}));
  EXPECT_EQ(formed->announcement.shards[1].range, (ClassRange{7, 8}));
}

TEST_F(FormViewTest, RefusesACheckpointOfOtherData) {
  Resume();
  inputs_.data.fingerprint = 43;
  EXPECT_TRUE(absl::IsFailedPrecondition(FormView(config_, inputs_).status()));
  EXPECT_EQ(Error(),
            "the run cannot resume: data.train is not what it was when /run/checkpoints/step-00000013.6 was made (its "
            "index has the fingerprint 000000000000002b, and had 000000000000002a); init_from.checkpoint starts a new "
            "run from it");
  inputs_.data = {101, 8, 42};
  EXPECT_THAT(Error(), HasSubstr("data.train has 101 samples, but had 100 when"));
}

TEST_F(FormViewTest, RefusesACheckpointBeyondThePlan) {
  Resume();
  config_.schedule.epochs = 1.2;
  EXPECT_THAT(Error(), HasSubstr("is of step 13, but with schedule.epochs 1.2 the run has only 12 steps"));
}

TEST_F(FormViewTest, RefusesClassesThatDoNotFit) {
  config_.head.classes = 10'000'000;
  EXPECT_TRUE(absl::IsResourceExhausted(FormView(config_, inputs_).status()));
}

TEST_F(FormViewTest, RefusesDataThatTheConfigurationDoesNotFit) {
  config_.head.classes = 7;
  EXPECT_THAT(Error(), HasSubstr("head.classes is 7"));
  config_.head.classes = 0;
  config_.data.batch_size = 128;
  EXPECT_THAT(Error(), HasSubstr("data.batch_size is 128, but data.train has only 100 samples"));
}

}  // namespace
}  // namespace arcshard::coordinator
