#include "client/head_client.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kDim = 2;
const Key kKey{{1, 1}, 5, 3};
constexpr uint32_t kShards[] = {4, 7};  // ids

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
  HeadClientTest() { AddLinks(&client_); }
  void AddLinks(HeadClient* client) {
    for (const uint32_t shard : kShards) client->AddLink(shard, std::make_unique<RecordingLink>(&sent_));
  }
  // place: in the order of the shards' ranges.
  void Answer(size_t place, ShardStatistics statistics, const Key& key = kKey) {
    client_.OnStatistics(kShards[place], key, &statistics);
  }

  FakeClock clock_;
  std::vector<std::string> sent_;
  HeadClient client_{kDim, &clock_};
};

const ShardStatistics kFirst{{1, 2}, {1, 2, 3, 4}, {1}, {0.6f, 0.8f}};
const ShardStatistics kSecond{{10, 20}, {10, 20, 30, 40}, {0}, {1, 0}};

TEST_F(HeadClientTest, MicroBatchesThatLackStatisticsAreShown) {
  MetricRegistry registry;
  Gauge& in_flight = registry.AddGauge({.name = "in_flight", .unit = "", .help = "Sent.", .label = ""});
  HeadClient client(kDim, &clock_, &in_flight);
  AddLinks(&client);
  const Key other{{1, 1}, 5, 4};
  client.SendEmbedding(kKey, {1, 0, 0, 1});
  client.SendEmbedding(other, {1, 0, 0, 1});
  EXPECT_EQ(in_flight.Value(), 2);
  client.SendEmbedding(other, {1, 0, 0, 1});  // once more: it is the same micro-batch
  EXPECT_EQ(in_flight.Value(), 2);
  ShardStatistics first = kFirst, second = kSecond;
  client.OnStatistics(kShards[0], kKey, &first);
  EXPECT_EQ(in_flight.Value(), 2);
  client.OnStatistics(kShards[1], kKey, &second);
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

TEST_F(HeadClientTest, AnAnswerThatComesTwiceOrIsOfAnotherViewCountsOnce) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  Answer(0, kFirst);
  Answer(0, kFirst);
  Key other = kKey;
  other.view = {1, 0};
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
  EXPECT_THAT(std::string(client_.Await(kKey).status().message()), HasSubstr("shard 4 answered view 1.1, step 5"));
}

TEST_F(HeadClientTest, ALostShardEndsTheWaitAndIsNamed) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  std::thread shards([&] { client_.OnLost(7, absl::UnavailableError("connection reset")); });
  EXPECT_EQ(client_.Await(kKey).status(), absl::UnavailableError("shard 7: connection reset"));
  shards.join();
  client_.Abort(absl::AbortedError("later"));
  EXPECT_EQ(client_.Await(kKey).status(), absl::UnavailableError("shard 7: connection reset"));
}

TEST_F(HeadClientTest, LostShardsAreNamedByTheirIdsAndAnAbortNamesNone) {
  client_.Abort(absl::CancelledError("another view is queued"));
  EXPECT_THAT(client_.lost(), IsEmpty());
  client_.OnLost(7, absl::UnavailableError("connection reset"));
  client_.OnLost(4, absl::UnavailableError("connection reset"));
  client_.OnLost(7, absl::FailedPreconditionError("an older view"));
  EXPECT_THAT(client_.lost(), ElementsAre(7, 4));
}

TEST_F(HeadClientTest, WhileItWaitsItShowsForWhichShardsAndSinceWhen) {
  const auto await_waiting_for = [this](const std::vector<uint32_t>& shards) {
    while (client_.waiting().shards != shards) std::this_thread::yield();
  };
  EXPECT_THAT(client_.waiting().shards, IsEmpty());
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  EXPECT_THAT(client_.waiting().shards, IsEmpty()) << "it may have other work to do";
  const MonotonicTime begin = clock_.Now();
  std::thread loop([&] { EXPECT_TRUE(client_.Await(kKey).ok()); });
  await_waiting_for({4, 7});
  clock_.Advance(absl::Seconds(3));
  Answer(0, kFirst);
  await_waiting_for({7});
  EXPECT_EQ(client_.waiting().since, begin);
  Answer(1, kSecond);
  loop.join();
  EXPECT_THAT(client_.waiting().shards, IsEmpty());
}

TEST_F(HeadClientTest, AWaitThatIsAbortedIsOver) {
  client_.SendEmbedding(kKey, {1, 2, 3, 4});
  std::thread loop([&] { EXPECT_EQ(client_.Await(kKey).status(), absl::CancelledError("another view is queued")); });
  while (client_.waiting().shards.empty()) std::this_thread::yield();
  client_.Abort(absl::CancelledError("another view is queued"));
  loop.join();
  EXPECT_THAT(client_.waiting().shards, IsEmpty());
}

TEST_F(HeadClientTest, AwaitingWhatWasNotSentIsAnErrorNotAHang) {
  EXPECT_EQ(client_.Await(kKey).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace arcshard::client
