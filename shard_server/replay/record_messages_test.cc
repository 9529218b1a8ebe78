// The messages of a replay, from a log's record to another shard's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "common/rpc/endpoint.h"
#include "shard_server/replay/record_encoder.h"
#include "shard_server/replay/record_receiver.h"
#include "shard_server/replay/testing/record_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;

constexpr StatePoint kBefore{16, 0xFEED};
constexpr RecordLimits kLimits{.dim = 5, .batch_size = 9, .num_classes = kRecordClasses};

// Passes the messages to the receiver. Returns the record that the last one completes, null if it completes none, or
// the first error. Only the last one may complete a record.
absl::StatusOr<std::shared_ptr<const ReplayRecord>> Receive(const std::vector<v1::ReplayPiece>& messages,
                                                            RecordReceiver* receiver) {
  std::shared_ptr<const ReplayRecord> record;
  for (const v1::ReplayPiece& message : messages) {
    EXPECT_EQ(record, nullptr);
    auto received = receiver->Add(message);
    if (!received.ok()) return received.status();
    record = *std::move(received);
  }
  return record;
}

void ExpectArrives(const RecordShape& shape, const RecordLimits& limits) {
  const auto sent = MakeRecord(kBefore, shape);
  RecordReceiver receiver(limits, kBefore);
  const auto received = Receive(MessagesOf(sent), &receiver);
  ASSERT_TRUE(received.ok()) << received.status();
  ASSERT_NE(*received, nullptr);
  EXPECT_TRUE(SameRecord(**received, *sent));
  EXPECT_EQ(receiver.after(), sent->after);
  EXPECT_TRUE(receiver.between_records());
}

TEST(RecordMessagesTest, ARecordOfSeveralMicroBatchesArrivesBitByBit) { ExpectArrives({}, kLimits); }

TEST(RecordMessagesTest, SoDoesThatOfASkippedStep) { ExpectArrives({.outcome = Outcome::kSkip}, kLimits); }

TEST(RecordMessagesTest, RecordsFollowOneAnother) {
  RecordReceiver receiver(kLimits, kBefore);
  StatePoint at = kBefore;
  for (const std::vector<uint32_t>& sizes : {std::vector<uint32_t>{3, 2, 4}, {9}, {1, 1}}) {
    const auto sent = MakeRecord(at, {.sizes = sizes});
    const auto received = Receive(MessagesOf(sent), &receiver);
    ASSERT_TRUE(received.ok()) << received.status();
    ASSERT_NE(*received, nullptr);
    EXPECT_TRUE(SameRecord(**received, *sent));
    at = sent->after;
    EXPECT_EQ(receiver.after(), at);
  }
}

TEST(RecordMessagesTest, BuffersOfALongerStepThatARecordHasKeptAreNotSent) {
  const auto longer = MakeRecord(kBefore);
  auto reused = std::make_shared<ReplayRecord>(*longer);
  reused->plan.micro_batch_sizes = {3, 2};
  reused->groups = {{0, 1}};
  RecordReceiver receiver(kLimits, kBefore);
  const auto received = Receive(MessagesOf(reused), &receiver);
  ASSERT_TRUE(received.ok()) << received.status();
  ASSERT_NE(*received, nullptr);
  EXPECT_EQ((*received)->plan, reused->plan);
}

TEST(RecordMessagesTest, AnEmbeddingOfSeveralMiBTravelsInPieces) {
  const RecordShape shape{.sizes = {3000, 7}, .dim = 300};  // 3.4 MiB
  const auto messages = MessagesOf(MakeRecord(kBefore, shape));
  EXPECT_EQ(messages.size(), 1u + 1u + 4u + 1u + 1u);
  for (const v1::ReplayPiece& message : messages) EXPECT_LE(message.ByteSizeLong(), size_t{kMaxMessageBytes});
  ExpectArrives(shape, {.dim = 300, .batch_size = 4000, .num_classes = kRecordClasses});
}

TEST(RecordMessagesTest, SoDoInputsOfVeryManySamples) {
  const RecordShape shape{.sizes = {300'000}, .dim = 1};  // 2.3 MiB of labels, 1.1 MiB of r
  const auto messages = MessagesOf(MakeRecord(kBefore, shape));
  EXPECT_EQ(messages.size(), 1u + 3u + 2u + 2u + 2u);
  for (const v1::ReplayPiece& message : messages) EXPECT_LE(message.ByteSizeLong(), size_t{kMaxMessageBytes});
  ExpectArrives(shape, {.dim = 1, .batch_size = 300'000, .num_classes = kRecordClasses});
}

TEST(RecordMessagesTest, ARecordIsThereOnlyWhenItIsWhole) {
  const auto messages = MessagesOf(MakeRecord(kBefore));
  for (size_t count = 0; count < messages.size(); ++count) {
    RecordReceiver receiver(kLimits, kBefore);
    const auto received = Receive({messages.begin(), messages.begin() + static_cast<ptrdiff_t>(count)}, &receiver);
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_EQ(*received, nullptr) << count;
    EXPECT_EQ(receiver.after(), kBefore);
    EXPECT_EQ(receiver.between_records(), count == 0);
  }
}

// What a peer may do to the messages of a record: header, inputs 0, embedding 0, inputs 1, ..., embedding 2.
struct Damage {
  const char* name;
  std::function<void(std::vector<v1::ReplayPiece>*)> make;
  const char* part;  // of the error
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

v1::RecordHeader* HeaderOf(std::vector<v1::ReplayPiece>* messages) { return messages->front().mutable_header(); }

std::vector<Damage> DamagedSequences() {
  using Messages = std::vector<v1::ReplayPiece>;
  return {
      {"Empty", [](Messages* m) { m->insert(m->begin(), v1::ReplayPiece()); }, "a message of a replay is empty"},
      {"NoHeader", [](Messages* m) { m->erase(m->begin()); }, "inputs came without the header"},
      {"OnlyAnEmbedding", [](Messages* m) { m->erase(m->begin(), m->begin() + 2); }, "an embedding came without"},
      {"TwoHeaders", [](Messages* m) { m->insert(m->begin(), m->front()); }, "step 17 is incomplete, but another one"},
      {"NoInputs", [](Messages* m) { m->erase(m->begin() + 1); }, "micro-batch 0: the embedding came before"},
      {"NoEmbedding", [](Messages* m) { m->erase(m->begin() + 2); }, "micro-batch 0: other inputs came before"},
      {"InputsTwice", [](Messages* m) { m->insert(m->begin() + 1, (*m)[1]); }, "micro-batch 0: other inputs came"},
      {"EmbeddingTwice", [](Messages* m) { m->insert(m->begin() + 2, (*m)[2]); }, "micro-batch 1: the embedding came"},
      {"OrderOfMicroBatches", [](Messages* m) { std::swap((*m)[1], (*m)[3]); }, "micro-batch 0: came from worker 7"},
      {"LabelsMissing", [](Messages* m) { (*m)[1].mutable_inputs()->clear_labels(); }, "the embedding came before"},
      {"LabelsOfWrongType",
       [](Messages* m) { (*m)[1].mutable_inputs()->mutable_labels()->set_dtype(v1::DTYPE_FLOAT32); },
       "step 17, micro-batch 0: labels has dtype"},
      {"ROfAnotherSize", [](Messages* m) { *(*m)[1].mutable_inputs()->mutable_r() = (*m)[3].inputs().r(); },
       "gradient (r) has shape [2], expected [3]"},
      {"TTooLong", [](Messages* m) { (*m)[1].mutable_inputs()->mutable_t()->mutable_data()->append("abcd"); },
       "gradient (t) has a piece of 16 bytes"},
      {"EmbeddingOfAnotherDimension", [](Messages* m) { (*m)[2].mutable_embedding()->set_shape(1, 6); },
       "embedding has shape [3, 6], expected [3, 5]"},
      {"EmbeddingOfAHugeShape", [](Messages* m) { (*m)[2].mutable_embedding()->set_shape(0, int64_t{1} << 62); },
       "embedding has shape [4611686018427387904"},
      {"EmbeddingThatBeginsLater", [](Messages* m) { (*m)[2].mutable_embedding()->set_offset(4); }, "at byte 4"},
      {"LabelTooLarge",
       [](Messages* m) {
         const int64_t label = kRecordClasses;
         (*m)[1].mutable_inputs()->mutable_labels()->mutable_data()->replace(
             8, 8, std::string(reinterpret_cast<const char*>(&label), 8));
       },
       "the label 100 is outside [0, 100)"},
      {"NegativeLabel",
       [](Messages* m) { (*m)[1].mutable_inputs()->mutable_labels()->mutable_data()->replace(0, 8, 8, '\xff'); },
       "the label -1 is outside"},
      {"NoPlan", [](Messages* m) { HeaderOf(m)->clear_plan(); }, "plan.step is 0"},
      {"AnotherStep", [](Messages* m) { HeaderOf(m)->mutable_plan()->set_step(18); },
       "step 18 came, but that of step 17"},
      {"TooManySamples", [](Messages* m) { HeaderOf(m)->mutable_plan()->set_micro_batch_sizes(2, 5); },
       "has 10 samples, the run has at most 9"},
      {"AnEmptyMicroBatch", [](Messages* m) { HeaderOf(m)->mutable_plan()->set_micro_batch_sizes(2, 0); }, "has a 0"},
      {"NoOutcome", [](Messages* m) { HeaderOf(m)->clear_outcome(); }, "has the outcome 0, which is not known"},
      {"NoRate", [](Messages* m) { HeaderOf(m)->set_lr(std::numeric_limits<double>::quiet_NaN()); }, "learning rate"},
      {"NegativeRate", [](Messages* m) { HeaderOf(m)->set_lr(-0.5); }, "has a learning rate of -0.5"},
      {"RateThatNoHeadTakes", [](Messages* m) { HeaderOf(m)->set_lr(1e39); }, "has a learning rate of 1e+39"},
      {"AnotherRate", [](Messages* m) { HeaderOf(m)->set_lr(0.5); }, "but its decision leads to",
       absl::StatusCode::kDataLoss},
      {"AnotherView", [](Messages* m) { HeaderOf(m)->mutable_view()->set_counter(6); }, "but its decision leads to",
       absl::StatusCode::kDataLoss},
      {"AnotherOutcome", [](Messages* m) { HeaderOf(m)->set_outcome(v1::Decision::OUTCOME_SKIP); },
       "but its decision leads to", absl::StatusCode::kDataLoss},
      {"AnotherLineage", [](Messages* m) { HeaderOf(m)->set_lineage(HeaderOf(m)->lineage() ^ 1); },
       "step 17 names the lineage", absl::StatusCode::kDataLoss},
      {"NoWorkers", [](Messages* m) { HeaderOf(m)->clear_workers(); }, "step 17 names no workers"},
      {"AWorkerTwice", [](Messages* m) { HeaderOf(m)->set_workers(1, 0); }, "or not in the order of their ids"},
      {"AnotherWorkersInputs", [](Messages* m) { (*m)[3].mutable_inputs()->set_worker(0); },
       "step 17, micro-batch 1: came from worker 0, but it is worker 7's"},
      {"NoGroups", [](Messages* m) { HeaderOf(m)->clear_groups(); }, "name 0 of its 3 micro-batches"},
      {"AGroupMissing", [](Messages* m) { HeaderOf(m)->mutable_groups()->RemoveLast(); },
       "name 1 of its 3 micro-batches"},
      {"AnEmptyGroup", [](Messages* m) { HeaderOf(m)->add_groups(); }, "the groups of step 17 have an empty one"},
      {"AMicroBatchInTwoGroups", [](Messages* m) { HeaderOf(m)->add_groups()->add_micro_batches(1); },
       "name micro-batch 1 twice"},
      {"AGroupOfWhatIsNotThere", [](Messages* m) { HeaderOf(m)->add_groups()->add_micro_batches(3); },
       "name micro-batch 3, which is not there"},
  };
}

TEST(RecordMessagesTest, ADamagedSequenceIsRefusedAndSaysWhy) {
  for (const Damage& damage : DamagedSequences()) {
    SCOPED_TRACE(damage.name);
    auto messages = MessagesOf(MakeRecord(kBefore));
    damage.make(&messages);
    RecordReceiver receiver(kLimits, kBefore);
    const auto received = Receive(messages, &receiver);
    EXPECT_EQ(received.status().code(), damage.code) << received.status();
    EXPECT_THAT(std::string(received.status().message()), HasSubstr(damage.part));
    EXPECT_EQ(receiver.after(), kBefore);
  }
}

TEST(RecordMessagesTest, AWorkerDoesNotChangeBetweenPiecesOfItsInputs) {
  auto messages = MessagesOf(MakeRecord(kBefore, {.sizes = {300'000}, .dim = 1}));
  messages[2].mutable_inputs()->set_worker(8);
  RecordReceiver receiver({.dim = 1, .batch_size = 300'000, .num_classes = kRecordClasses}, kBefore);
  EXPECT_THAT(std::string(Receive(messages, &receiver).status().message()), HasSubstr("came from worker 8"));
}

TEST(RecordMessagesTest, ARecordOfAnotherHistoryIsRefused) {
  RecordReceiver receiver(kLimits, {kBefore.step, kBefore.lineage + 1});
  EXPECT_EQ(Receive(MessagesOf(MakeRecord(kBefore)), &receiver).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace arcshard::shard
