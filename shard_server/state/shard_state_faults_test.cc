// Each message of a worker is lost, repeated, changed, too old, too early, or one too many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// A kind of message, sent for micro-batch 0 as it should be or changed.
struct MessageKind {
  const char* name;
  std::function<absl::Status(TestRun&, const Key&)> send;
  std::function<absl::Status(TestRun&, const Key&)> send_changed;
};

absl::Status SendChangedLabels(TestRun& run, const Key& key) {
  return run.state.Labels(WorkerOf(key.micro_batch), key, std::vector<int64_t>{9, 9});
}

const MessageKind kLabels = {"labels", [](TestRun& run, const Key& key) { return run.SendLabels(key); },
                             SendChangedLabels};
const MessageKind kEmbedding = {
    "embedding", [](TestRun& run, const Key& key) { return run.SendEmbedding(key); },
    [](TestRun& run, const Key& key) { return run.SendEmbedding(key, std::vector<float>(2 * kDim, -5.0f)); }};
const MessageKind kGradient = {"gradient", [](TestRun& run, const Key& key) { return run.SendGradient(key); },
                               [](TestRun& run, const Key& key) { return run.SendGradient(key, 0.125f); }};

class ShardStateFaults : public testing::TestWithParam<MessageKind> {
 protected:
  // Step 1, with everything before the message of micro-batch 0 sent.
  std::unique_ptr<TestRun> UpToTheMessage() {
    auto run = TestRun::InStep1();
    const std::string name = GetParam().name;
    if (name == "labels") return run;
    EXPECT_TRUE(run->SendLabels(1, 0).ok());
    if (name == "embedding") return run;
    EXPECT_TRUE(run->SendEmbedding(1, 0).ok());
    run->RunAll();
    return run;
  }
  absl::Status Send(TestRun& run, const Key& key) { return GetParam().send(run, key); }

  const Key key_ = TestRun::KeyOf(1, 0);
};

// Sends the rest of step 1. The update must be the same whatever happened before.
void ExpectTheStepEndsAsIfNothingHadHappened(TestRun& run) {
  ASSERT_TRUE(run.SendStep(1).ok());
  ASSERT_THAT(run.output.votes, SizeIs(1));
  EXPECT_TRUE(run.output.votes[0].finite);
  ASSERT_TRUE(run.state.Decide(Commit(1)).ok());
  run.RunAll();
  ASSERT_THAT(run.head.updates, SizeIs(1));
  // The order of the groups does not matter.
  const std::string update = absl::StrReplaceAll(run.head.updates[0], {{" |", ""}});
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(update, ' ')),
              UnorderedElementsAre("lr", "0.5", "1:0", "2:1", "3:2"));
}

TEST_P(ShardStateFaults, Lost_AndSentAgain_ChangesNothing) {
  auto run = UpToTheMessage();
  run->RunAll();  // without the message nothing happens
  EXPECT_THAT(run->output.votes, IsEmpty());
  ASSERT_TRUE(Send(*run, key_).ok());
  ExpectTheStepEndsAsIfNothingHadHappened(*run);
}

TEST_P(ShardStateFaults, Repeated_IsAccepted_BeforeAndAfterItTookEffect) {
  auto run = UpToTheMessage();
  ASSERT_TRUE(Send(*run, key_).ok());
  EXPECT_TRUE(Send(*run, key_).ok());
  run->RunAll();
  EXPECT_TRUE(Send(*run, key_).ok());
  run->RunAll();
  ExpectTheStepEndsAsIfNothingHadHappened(*run);
}

TEST_P(ShardStateFaults, Repeated_AfterTheVote_IsAcceptedAndNotVotedAgain) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  EXPECT_TRUE(Send(*run, key_).ok());
  run->RunAll();
  EXPECT_THAT(run->output.votes, SizeIs(1));
}

TEST_P(ShardStateFaults, Repeated_WithOtherBytes_IsAlreadyThere) {
  auto run = UpToTheMessage();
  ASSERT_TRUE(Send(*run, key_).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = GetParam().send_changed(*run, key_);
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
    EXPECT_EQ(status.message(), absl::StrCat("the ", GetParam().name,
                                             " of view 1.2, step 1, micro-batch 0 came before with other values"));
    run->RunAll();
  }
  ExpectTheStepEndsAsIfNothingHadHappened(*run);
}

TEST_P(ShardStateFaults, OfAnOlderView_IsRefusedNamingBoth) {
  auto run = UpToTheMessage();
  for (const View older : {View{1, 1}, View{0, 9}}) {
    const absl::Status status = Send(*run, {older, 1, 0});
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr(ToString(older)));
    EXPECT_THAT(std::string(status.message()), HasSubstr("this shard is in view 1.2"));
  }
  ExpectTheStepEndsAsIfNothingHadHappened(*run);
}

TEST_P(ShardStateFaults, OfADecidedStep_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  for (int i = 0; i < 2; ++i) {  // before and after the update
    const absl::Status status = Send(*run, key_);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("was decided already: step 1 was the last"));
    run->RunAll();
  }
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.5 | 1:0 2:1 3:2"));
}

TEST_P(ShardStateFaults, TwoStepsEarly_IsRefused) {
  auto run = UpToTheMessage();
  const absl::Status status = Send(*run, TestRun::KeyOf(3, 0));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("too early: step 0 is the last that was decided"));
}

TEST_P(ShardStateFaults, OfStep0_IsInvalid) {
  auto run = UpToTheMessage();
  EXPECT_EQ(Send(*run, TestRun::KeyOf(0, 0)).code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ShardStateFaults, OutsideThePlan_IsInvalid) {
  auto run = UpToTheMessage();
  const absl::Status status = Send(*run, TestRun::KeyOf(1, 4));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("micro-batch 4 is not in the plan: the step has 3"));
}

INSTANTIATE_TEST_SUITE_P(Message, ShardStateFaults, testing::Values(kLabels, kEmbedding, kGradient),
                         [](const auto& message) { return std::string(message.param.name); });

absl::StatusCode CodeOf(const absl::Status& status) { return status.code(); }

TEST(ShardStateMessagesTest, FromTheWrongWorker_IsInvalid) {
  auto run = TestRun::InStep1();
  const absl::Status status = run->state.Labels(7, TestRun::KeyOf(1, 0), LabelsOf(0));
  EXPECT_EQ(CodeOf(status), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("came from worker 7, but it is worker 0's"));
}

TEST(ShardStateMessagesTest, OfAWrongSize_IsInvalidAndSaysBoth) {
  auto run = TestRun::InStep1();
  const Key key = TestRun::KeyOf(1, 0);
  EXPECT_EQ(run->state.Labels(0, key, std::vector<int64_t>{1}).message(),
            "the labels of view 1.2, step 1, micro-batch 0 has 1 samples, the step's plan says 2");
  ASSERT_TRUE(run->SendLabels(key).ok());
  EXPECT_EQ(CodeOf(run->SendEmbedding(key, std::vector<float>(3 * kDim))), absl::StatusCode::kInvalidArgument);
  const std::vector<float> values(8);
  const absl::Status wrong_dim = run->state.Embedding(0, key, {values.data(), 2, 4});
  EXPECT_EQ(CodeOf(wrong_dim), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wrong_dim.message()), HasSubstr("has 4 dimensions, the run has 3"));
  ASSERT_TRUE(run->SendEmbedding(key).ok());
  run->RunAll();
  const std::vector<float> two(2), three(3);
  EXPECT_EQ(CodeOf(run->state.Gradient(0, key, three, two)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(run->state.Gradient(0, key, two, three)), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(run->SendGradient(key).ok());
}

TEST(ShardStateMessagesTest, LabelsOutsideTheClasses_AreInvalid) {
  auto run = TestRun::InStep1();
  for (const int64_t label : {int64_t{-1}, int64_t{10}}) {
    const absl::Status status = run->state.Labels(0, TestRun::KeyOf(1, 0), std::vector<int64_t>{3, label});
    EXPECT_EQ(CodeOf(status), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("label ", label, " of sample 1 of")));
    EXPECT_THAT(std::string(status.message()), HasSubstr("outside [0, 10)"));
  }
  EXPECT_TRUE(run->SendLabels(1, 0).ok());
}

TEST(ShardStateMessagesTest, OutOfTurn_AreRefused) {
  auto run = TestRun::InStep1();
  EXPECT_THAT(std::string(run->SendEmbedding(1, 0).message()), HasSubstr("came before its labels"));
  EXPECT_THAT(std::string(run->SendGradient(1, 0).message()), HasSubstr("came before its statistics were sent"));
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  EXPECT_EQ(CodeOf(run->SendGradient(1, 0)), absl::StatusCode::kFailedPrecondition);  // pass 1 has not run
}

TEST(ShardStateMessagesTest, ARepeatedEmbeddingIsAnsweredAgainFromWhatWasKept) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());  // the first is not answered yet: one answer is enough
  run->RunAll();
  EXPECT_THAT(run->output.sent, SizeIs(1));
  const std::vector<float> z = run->output.z, u = run->output.u, centers = run->output.own_centers;
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_THAT(run->output.sent, SizeIs(2));
  EXPECT_EQ(run->output.z, z);
  EXPECT_EQ(run->output.u, u);
  EXPECT_EQ(run->output.own_centers, centers);
  EXPECT_THAT(run->head.group_sizes, SizeIs(1));  // computed once
}

TEST(ShardStateMessagesTest, MoreInFlightThanAgreed_IsRefusedUntilStatisticsAreSent) {
  ShardState::Options options = TestRun::DefaultOptions();
  options.max_in_flight = 1;
  auto run = TestRun::InStep1(options);
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  const absl::Status status = run->SendEmbedding(1, 2);
  EXPECT_EQ(CodeOf(status), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("from worker 0 is more than the 1 micro-batches"));
  EXPECT_TRUE(run->SendEmbedding(1, 1).ok());  // of another worker
  run->RunAll();
  EXPECT_TRUE(run->SendEmbedding(1, 2).ok());
}

}  // namespace
}  // namespace arcshard::shard
