#include "client/head_client.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kDim = 2;
const Key kKey{{1, 1}, 5, 3, 0};

class RecordingLink final : public ShardLink {
 public:
  explicit RecordingLink(std::vector<std::string>* sent) : sent_(sent) {}
  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    sent_->push_back(absl::StrCat("labels ", key.micro_batch, " ", labels.size()));
  }
  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    sent_->push_back(absl::StrCat("embedding ", key.micro_batch, " ", embedding.size()));
  }
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float>) override {
    sent_->push_back(absl::StrCat("gradient ", key.micro_batch, " ", r.size()));
  }

 private:
  std::vector<std::string>* const sent_;
};

class HeadClientTest : public ::testing::Test {
 protected:
  HeadClientTest() : client_(kDim) {
    for (int i = 0; i < 2; ++i) client_.AddLink(std::make_unique<RecordingLink>(&sent_));
  }
  void Answer(size_t shard, ShardStatistics statistics, const Key& key = kKey) {
    client_.OnStatistics(shard, key, &statistics);
  }

  std::vector<std::string> sent_;
  HeadClient client_;
};

const ShardStatistics kFirst{{1, 2}, {1, 2, 3, 4}, {1}, {0.6f, 0.8f}};
const ShardStatistics kSecond{{10, 20}, {10, 20, 30, 40}, {0}, {1, 0}};

TEST_F(HeadClientTest, MicroBatchesThatLackStatisticsAreShown) {
  MetricRegistry registry;
  Gauge& in_flight = registry.AddGauge({.name = "in_flight", .unit = "", .help = "Sent.", .label = ""});
  HeadClient client(kDim, &in_flight);
  for (int i = 0; i < 2; ++i) client.AddLink(std::make_unique<RecordingLink>(&sent_));
  const Key other{{1, 1}, 5, 4, 0};
  client.SendEmbedding(kKey, {1, 0, 0, 1});
  client.SendEmbedding(other, {1, 0, 0, 1});
  EXPECT_EQ(in_flight.Value(), 2);
  client.SendEmbedding(other, {1, 0, 0, 1});  // once more: it is the same micro-batch
  EXPECT_EQ(in_flight.Value(), 2);
  ShardStatistics first = kFirst, second = kSecond;
  client.OnStatistics(0, kKey, &first);
  EXPECT_EQ(in_flight.Value(), 2);
  client.OnStatistics(1, kKey, &second);
  EXPECT_EQ(in_flight.Value(), 1);
  EXPECT_TRUE(client.Await(kKey).ok());
  EXPECT_EQ(in_flight.Value(), 1);
}

TEST_F(HeadClientTest, EveryShardGetsEverything) {
  client_.SendLabels(kKey, {7, 8});
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  client_.SendGradient(kKey, {1, 2}, {3, 4});
  EXPECT_THAT(
      sent_, ElementsAre("labels 3 2", "labels 3 2", "embedding 3 4", "embedding 3 4", "gradient 3 2", "gradient 3 2"));
}

TEST_F(HeadClientTest, SumsAreOverAllShardsWhicheverAnswersFirst) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  std::thread shards([&] {
    Answer(1, kSecond);
    Answer(0, kFirst);
  });
  const auto sum = client_.Await(kKey);
  shards.join();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_THAT(sum->z, ElementsAre(11, 22));
  EXPECT_THAT(sum->u, ElementsAre(11, 22, 33, 44));
  EXPECT_THAT(sum->own_centers, ElementsAre(1, 0, 0.6f, 0.8f));
}

TEST_F(HeadClientTest, AnAnswerThatComesTwiceOrIsOfAnotherAttemptCountsOnce) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  Answer(0, kFirst);
  Answer(0, kFirst);
  Key other = kKey;
  other.attempt = 1;
  Answer(1, kFirst, other);
  Answer(1, kSecond);
  EXPECT_THAT(client_.Await(kKey)->z, ElementsAre(11, 22));
}

TEST_F(HeadClientTest, AClassThatNoShardOrThatTwoShardsOwnIsAnError) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  Answer(0, kFirst);
  Answer(1, {{1, 2}, {1, 2, 3, 4}, {}, {}});
  EXPECT_THAT(std::string(client_.Await(kKey).status().message()), HasSubstr("no shard owns the class of sample 0"));
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  Answer(0, kFirst);
  Answer(1, kFirst);
  EXPECT_EQ(client_.Await(kKey).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(HeadClientTest, StatisticsOfAWrongShapeAreRefused) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  Answer(0, {{1}, {1, 2, 3, 4}, {}, {}});
  Answer(1, kSecond);
  EXPECT_THAT(std::string(client_.Await(kKey).status().message()), HasSubstr("shard 0 answered view 1.1, step 5"));
}

TEST_F(HeadClientTest, ALostShardEndsTheWaitAndIsNamed) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  std::thread shards([&] { client_.OnLost(1, absl::UnavailableError("connection reset")); });
  EXPECT_EQ(client_.Await(kKey).status(), absl::UnavailableError("shard 1: connection reset"));
  shards.join();
  client_.Abort(absl::AbortedError("later"));
  EXPECT_EQ(client_.Await(kKey).status(), absl::UnavailableError("shard 1: connection reset"));
}

TEST_F(HeadClientTest, AwaitingWhatWasNotSentIsAnErrorNotAHang) {
  EXPECT_EQ(client_.Await(kKey).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace arcshard::client
