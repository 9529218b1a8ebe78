// A range that is rebuilt has the bits of the undisturbed one: ShardStates on real heads, for one, two and three shards
// that hold classes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "common/protocol/lineage.h"
#include "shard_server/head/head.h"
#include "shard_server/head/testing/sharded_head.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {
namespace {

using head::HeadOptions;

constexpr int64_t kClasses = 211;
constexpr int64_t kDim = 24;
constexpr uint32_t kSizes[] = {13, 8, 5};  // of a step's micro-batches
constexpr uint64_t kBase = 2;              // step of the checkpoint
constexpr uint64_t kLast = 7;              // of the undisturbed run
constexpr View kFirst{1, 1};
constexpr View kSecond{1, 2};

Next PlanOf(uint64_t step) {
  return {NextAction::kStep, {step, 0, 0, std::vector<uint32_t>(std::begin(kSizes), std::end(kSizes))}};
}

struct Inputs {
  head::LabelledBatch batch;
  std::vector<float> r, t;
};
Inputs InputsOf(uint64_t step, uint32_t m) {
  const uint64_t seed = 100 * step + m;
  const int64_t size = kSizes[m];
  Inputs inputs{head::RandomBatch(seed, size, kDim, kClasses), head::RandomNormals(seed + 1, size),
                head::RandomNormals(seed + 2, size)};
  for (float& value : inputs.r) value = 1e-23f * std::abs(value);  // it has 1/z in it
  for (float& value : inputs.t) value *= 0.1f;
  return inputs;
}

// What a checkpoint of a head holds.
struct Rows {
  std::vector<float> weights;
  std::vector<std::vector<float>> moments;
  std::vector<uint32_t> counts;
  friend bool operator==(const Rows&, const Rows&) = default;
};
Rows Read(const head::Head& head) {
  const HeadOptions& options = head.options();
  const size_t size = static_cast<size_t>(options.range.size() * options.dim);
  Rows rows{std::vector<float>(size), {}, {}};
  EXPECT_TRUE(head.ReadWeights(options.range, {rows.weights.data(), options.range.size(), options.dim}).ok());
  for (int moment = 0; moment < options.num_moments(); ++moment) {
    rows.moments.emplace_back(size);
    EXPECT_TRUE(
        head.ReadMoment(moment, options.range, {rows.moments[moment].data(), options.range.size(), options.dim}).ok());
  }
  if (options.num_moments() == 2) {
    rows.counts.resize(static_cast<size_t>(options.range.size()));
    EXPECT_TRUE(head.ReadCounts(options.range, absl::MakeSpan(rows.counts)).ok());
  }
  return rows;
}
void Write(const Rows& rows, head::Head* head) {
  const HeadOptions& options = head->options();
  EXPECT_TRUE(head->WriteWeights(options.range, {rows.weights.data(), options.range.size(), options.dim}).ok());
  for (int moment = 0; moment < options.num_moments(); ++moment) {
    EXPECT_TRUE(
        head->WriteMoment(moment, options.range, {rows.moments[moment].data(), options.range.size(), options.dim})
            .ok());
  }
  if (options.num_moments() == 2) {
    EXPECT_TRUE(head->WriteCounts(options.range, rows.counts).ok());
  }
}

// A shard without network.
class Shard final : public ShardOutput {
 public:
  Shard(uint32_t id, HeadOptions options, ClassRange range, bool deterministic)
      : state({.id = id,
               .dim = kDim,
               .batch_size = 26,
               .max_in_flight = 3,
               .deterministic = deterministic,
               .log_bytes = 1 << 20,
               .clock = &clock_},
              this) {
    options.range = range;
    auto made = head::Head::Create(options, int64_t{1} << 30);
    EXPECT_TRUE(made.ok()) << made.status();
    head = *std::move(made);
    first_ = Read(*head);
  }

  void RunAll() {
    while (state.HasWork()) ASSERT_TRUE(state.RunOne().ok());
  }

  void SendStatistics(uint32_t, const Key&, const PartialStatistics&) override {}
  void Refuse(uint32_t, const Key&, const absl::Status& why) override { ADD_FAILURE() << why; }
  void VoteReady(const ReadyVote& vote) override { EXPECT_TRUE(vote.finite) << vote.reason; }
  void TakeCheckpoint(const View&, uint64_t) override { checkpoint = Read(*head); }
  void Applied(uint64_t, Outcome) override {}
  absl::Status RestoreBase(const ViewAnnouncement& view) override {
    Write(view.base.step == 0 ? first_ : checkpoint, head.get());
    return absl::OkStatus();
  }
  void RequestReplay(const ViewAnnouncement&, uint32_t, const StatePoint& after, uint64_t) override {
    requested.push_back(after.step);
  }
  void Joined(const JoinedReport&) override { ++joined; }
  void LostPeers(const LostPeersReport& report) override { ADD_FAILURE() << report.sentence; }

  std::unique_ptr<head::Head> head;
  Rows checkpoint;
  std::vector<uint64_t> requested;  // the step after which records were asked for
  int joined = 0;

 private:
  FakeClock clock_;
  Rows first_;  // weights, moments and counts of the beginning

 public:
  ShardState state;  // uses the clock
};

struct Case {
  std::string name;
  HeadOptions head;
  bool deterministic = true;
};

// A run of K shards that hold the classes, and of one that holds none: its log serves the others.
class ReplayBitsTest : public testing::TestWithParam<std::tuple<Case, int>> {
 protected:
  ReplayBitsTest() {
    options_ = std::get<0>(GetParam()).head;
    options_.num_classes = kClasses;
    options_.dim = kDim;
    std::vector<ClassRange> ranges = head::UnevenRanges(kClasses, std::get<1>(GetParam()));
    ranges.push_back({kClasses, kClasses});
    view_.view = kFirst;
    view_.num_classes = kClasses;
    view_.workers = {{0, ""}};
    for (uint32_t k = 0; k < ranges.size(); ++k) view_.shards.push_back({k, "", ranges[k]});
    peer_ = Trained(shards(), kLast);
  }

  uint32_t shards() const { return static_cast<uint32_t>(std::get<1>(GetParam())); }

  // A decision of the undisturbed run. The fourth step is skipped, and a checkpoint is taken after step kBase.
  static Decision DecisionOf(uint64_t step, const StatePoint& before, const View& view = kFirst) {
    Decision decision{view, step, step == 4 ? Outcome::kSkip : Outcome::kCommit, 0.1, PlanOf(step + 1)};
    decision.next.checkpoint = step == kBase;
    decision.lineage = ExtendLineage(before.lineage, decision);
    return decision;
  }
  static StatePoint PointAfter(uint64_t step) {
    StatePoint point;
    while (point.step < step) point = DecisionOf(point.step + 1, point).after();
    return point;
  }

  // Shard `k`, which holds nothing yet.
  std::unique_ptr<Shard> NewShard(uint32_t k) const {
    return std::make_unique<Shard>(k, options_, view_.shards[k].range, std::get<0>(GetParam()).deterministic);
  }
  // Shard `k` after so many steps of the undisturbed run.
  std::unique_ptr<Shard> Trained(uint32_t k, uint64_t steps) const {
    std::unique_ptr<Shard> shard = NewShard(k);
    Join(*shard, view_);
    EXPECT_TRUE(shard->state.Install({kFirst, PlanOf(1), {}}).ok());
    Train(*shard, steps);
    return shard;
  }
  static void Join(Shard& shard, const ViewAnnouncement& view) {
    EXPECT_TRUE(shard.state.JoinView(view, shard.head.get()).ok());
    shard.RunAll();
  }
  static void Train(Shard& shard, uint64_t last, const View& view = kFirst) {
    for (StatePoint at = shard.state.held().state; at.step < last; at = shard.state.held().state) {
      SendStep(shard, at.step + 1, view);
      ASSERT_TRUE(shard.state.Decide(DecisionOf(at.step + 1, at, view)).ok());
      shard.RunAll();
    }
  }
  // Embeddings come one at a time or together, so that the groups of pass 1 differ between steps.
  static void SendStep(Shard& shard, uint64_t step, const View& view = kFirst) {
    for (uint32_t m = 0; m < std::size(kSizes); ++m) {
      ASSERT_TRUE(shard.state.Labels(0, {view, step, m}, InputsOf(step, m).batch.labels).ok());
    }
    for (uint32_t m = 0; m < std::size(kSizes); ++m) {
      const Inputs inputs = InputsOf(step, m);
      const head::MatrixView<const float> embedding{inputs.batch.embedding.data(), kSizes[m], kDim};
      ASSERT_TRUE(shard.state.Embedding(0, {view, step, m}, embedding).ok());
      if (step % 2 == 0) shard.RunAll();
    }
    shard.RunAll();
    for (uint32_t m = 0; m < std::size(kSizes); ++m) {
      const Inputs inputs = InputsOf(step, m);
      ASSERT_TRUE(shard.state.Gradient(0, {view, step, m}, inputs.r, inputs.t).ok());
    }
    shard.RunAll();
  }

  // The next view, which goes on after step `step` and has its base after step `base`.
  ViewAnnouncement NextView(uint64_t step, uint64_t base) const {
    ViewAnnouncement view = view_;
    view.view = kSecond;
    view.state = PointAfter(step);
    if (step != base) view.last = DecisionOf(step, PointAfter(step - 1));
    view.base = PointAfter(base);
    if (base > 0) view.checkpoint = "of the base";
    view.shards.back().has_log = true;
    return view;
  }
  // Feeds the shard with the records of the peer.
  void Replay(Shard& shard, uint64_t after) const {
    for (uint64_t step = after; step < kLast; ++step) {
      const auto record = peer_->state.RecordAfter(PointAfter(step));
      ASSERT_TRUE(record.ok()) << record.status();
      ASSERT_TRUE(shard.state.Record(kSecond, *record).ok());
    }
    shard.state.ReplayEnded(kSecond, absl::OkStatus());
    shard.RunAll();
    EXPECT_EQ(shard.state.held().state, PointAfter(kLast));
  }

  HeadOptions options_;
  ViewAnnouncement view_;
  std::unique_ptr<Shard> peer_;  // after kLast steps
};

TEST_P(ReplayBitsTest, FromTheFirstWeightsAndFromACheckpoint) {
  for (uint32_t k = 0; k < shards(); ++k) {
    for (const uint64_t base : {uint64_t{0}, kBase}) {
      const std::unique_ptr<Shard> undisturbed = Trained(k, kLast);
      const std::unique_ptr<Shard> rebuilt = NewShard(k);
      rebuilt->checkpoint = undisturbed->checkpoint;
      Join(*rebuilt, NextView(kLast, base));
      EXPECT_THAT(rebuilt->requested, testing::ElementsAre(base));
      Replay(*rebuilt, base);
      EXPECT_EQ(rebuilt->joined, 1);
      EXPECT_TRUE(Read(*rebuilt->head) == Read(*undisturbed->head)) << "shard " << k << ", base " << base;
      // And it goes on like the other one.
      Train(*undisturbed, kLast + 2);
      EXPECT_TRUE(rebuilt->state.Install({kSecond, PlanOf(kLast + 1), {}}).ok());
      Train(*rebuilt, kLast + 2, kSecond);
      EXPECT_TRUE(Read(*rebuilt->head) == Read(*undisturbed->head)) << "shard " << k << ", base " << base;
    }
  }
}

TEST_P(ReplayBitsTest, FromAStateOnTheWay) {
  for (uint32_t k = 0; k < shards(); ++k) {
    const std::unique_ptr<Shard> behind = Trained(k, 3);
    SendStep(*behind, 4);  // of which it has not received the decision, and which was computed again by others
    Join(*behind, NextView(kLast, 0));
    EXPECT_THAT(behind->requested, testing::ElementsAre(3u));
    Replay(*behind, 3);
    EXPECT_TRUE(Read(*behind->head) == Read(*Trained(k, kLast)->head)) << "shard " << k;
  }
}

TEST_P(ReplayBitsTest, AfterARollbackTheSameStepsLeadToTheSameBits) {
  for (uint32_t k = 0; k < shards(); ++k) {
    const std::unique_ptr<Shard> shard = Trained(k, kLast);
    const Rows undisturbed = Read(*shard->head);
    Join(*shard, NextView(kBase, kBase));
    EXPECT_TRUE(Read(*shard->head) == shard->checkpoint) << "shard " << k;
    EXPECT_FALSE(Read(*shard->head) == undisturbed) << "shard " << k;
    ASSERT_TRUE(shard->state.Install({kSecond, PlanOf(kBase + 1), {}}).ok());
    Train(*shard, kLast, kSecond);
    EXPECT_TRUE(Read(*shard->head) == undisturbed) << "shard " << k;
  }
}

TEST_P(ReplayBitsTest, AVoidStepChangesNothing) {
  for (uint32_t k = 0; k < shards(); ++k) {
    const std::unique_ptr<Shard> shard = Trained(k, 5);
    const Rows before = Read(*shard->head);
    SendStep(*shard, 6);
    Join(*shard, NextView(5, 0));
    EXPECT_EQ(shard->joined, 2);
    EXPECT_TRUE(Read(*shard->head) == before) << "shard " << k;
    ASSERT_TRUE(shard->state.Install({kSecond, PlanOf(6), {}}).ok());
    Train(*shard, kLast, kSecond);
    EXPECT_TRUE(Read(*shard->head) == Read(*Trained(k, kLast)->head)) << "shard " << k;
  }
}

std::vector<Case> Cases() {
  HeadOptions sgd;
  sgd.scale = 32.0f;
  HeadOptions adamw = sgd;
  adamw.optimizer = head::AdamWOptions{};
  adamw.sample_rate = 0.3;
  HeadOptions bfloat16 = sgd;
  bfloat16.compute = bfloat16.weights = bfloat16.moments = head::DataType::kBfloat16;
  bfloat16.exp_budget_bytes = 1 << 12;  // some exponentials are kept, and others computed again
  return {{"sgd", sgd}, {"sgd_in_groups", sgd, false}, {"sampled_adamw", adamw}, {"bfloat16", bfloat16}};
}

INSTANTIATE_TEST_SUITE_P(Heads, ReplayBitsTest, testing::Combine(testing::ValuesIn(Cases()), testing::Values(1, 2, 3)),
                         [](const auto& param) {
                           return absl::StrCat(std::get<0>(param.param).name, "_", std::get<1>(param.param), "_shards");
                         });

}  // namespace
}  // namespace arcshard::shard
