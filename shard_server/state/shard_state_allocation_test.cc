// After its first steps a shard allocates nothing that grows with B, N or D. The test replaces operator new to see
// every allocation.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "common/base/testing/fake_clock.h"
#include "common/protocol/lineage.h"
#include "shard_server/state/shard_state.h"

namespace {
std::atomic<bool> watching = false;
std::atomic<size_t> largest = 0;  // bytes of one allocation
}  // namespace

// Not inlined, because GCC would see malloc without free and warn about mismatched allocation functions.
[[gnu::noinline]] void* operator new(size_t size) {
  if (watching && size > largest) largest = size;
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new[](size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace arcshard::shard {
namespace {

constexpr int64_t kDim = 256;
constexpr uint32_t kSize = 512;  // samples of a micro-batch: its labels are 4 KiB, its embedding 512 KiB

class SilentHead final : public head::Head {
 public:
  SilentHead() {
    options_.num_classes = 1000;
    options_.range = {0, 500};
    options_.dim = kDim;
  }
  const head::HeadOptions& options() const override { return options_; }
  absl::Status Begin(uint64_t, absl::Span<const int64_t>) override { return absl::OkStatus(); }
  absl::Status Forward(absl::Span<const head::ForwardInput>, absl::Span<const head::ForwardOutput> outputs) override {
    for (const head::ForwardOutput& output : outputs) std::fill(output.z.begin(), output.z.end(), 1.0f);
    return absl::OkStatus();
  }
  absl::Status FormGradient(absl::Span<const head::Group>, absl::FunctionRef<bool()>) override {
    return absl::OkStatus();
  }
  absl::Status Update(absl::Span<const head::Group>, float) override { return absl::OkStatus(); }
  void Discard() override {}
  absl::Status ReadWeights(ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status ReadMoment(int, ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status WriteWeights(ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status WriteMoment(int, ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status ReadCounts(ClassRange, absl::Span<uint32_t>) const override { return absl::OkStatus(); }
  absl::Status WriteCounts(ClassRange, absl::Span<const uint32_t>) override { return absl::OkStatus(); }
  absl::Status ReadHeld(head::RowPart, ClassRange, absl::Span<std::byte>) const override { return absl::OkStatus(); }
  void Observe(head::UpdateObserver*) override {}

 private:
  head::HeadOptions options_;
};

class SilentOutput final : public ShardOutput {
 public:
  void SendStatistics(uint32_t, const Key&, const PartialStatistics&) override {}
  void Refuse(uint32_t, const Key&, const absl::Status&) override { ADD_FAILURE(); }
  void VoteReady(const ReadyVote&) override {}
  void TakeCheckpoint(const View&, uint64_t) override {}
  void Applied(uint64_t, Outcome) override {}
  absl::Status RestoreBase(const ViewAnnouncement&) override { return absl::OkStatus(); }
  void RequestReplay(const ViewAnnouncement&, uint32_t, const StatePoint&, uint64_t) override { ADD_FAILURE(); }
  void Joined(const JoinedReport&) override {}
  void LostPeers(const LostPeersReport&) override { ADD_FAILURE(); }
};

TEST(ShardStateAllocationTest, AfterTheFirstStepsNothingIsAllocatedThatGrowsWithTheBatchOrTheDimension) {
  SilentHead head;
  SilentOutput output;
  FakeClock clock;
  ShardState state({.dim = kDim, .batch_size = 2 * kSize, .clock = &clock}, &output);
  ViewAnnouncement view;
  view.view = {1, 1};
  view.num_classes = 1000;
  view.shards = {{0, "", {0, 500}}};
  view.workers = {{0, ""}};
  ASSERT_TRUE(state.JoinView(view, &head).ok());
  const auto next = [](uint64_t step) { return Next{NextAction::kStep, {step, 0, 0, {kSize, kSize}}}; };
  StatePoint point;
  const auto decide = [&] {
    Decision decision{view.view, point.step + 1, Outcome::kCommit, 0.1, next(point.step + 2)};
    decision.lineage = ExtendLineage(point.lineage, decision);
    point = decision.after();
    return state.Decide(decision);
  };
  const std::vector<int64_t> labels(kSize, 7);
  const std::vector<float> embedding(kSize * kDim, 1.0f), r(kSize, 0.5f);
  const auto run_all = [&] {
    while (state.HasWork()) ASSERT_TRUE(state.RunOne().ok());
  };
  const auto send_inputs = [&](uint64_t step) {
    for (uint32_t m = 0; m < 2; ++m) {
      ASSERT_TRUE(state.Labels(0, {view.view, step, m}, labels).ok());
      ASSERT_TRUE(state.Embedding(0, {view.view, step, m}, {embedding.data(), kSize, kDim}).ok());
    }
  };
  run_all();
  ASSERT_TRUE(state.Install({view.view, next(1), {}}).ok());
  for (uint64_t step = 1; step <= 12; ++step) {
    watching = step > 3;
    if (step % 2 == 1) send_inputs(step);  // those of the even steps were sent before the decision and have waited
    run_all();
    for (uint32_t m = 0; m < 2; ++m) ASSERT_TRUE(state.Gradient(0, {view.view, step, m}, r, r).ok());
    run_all();
    if (step % 2 == 1) send_inputs(step + 1);
    ASSERT_TRUE(decide().ok());
    run_all();
  }
  watching = false;
  EXPECT_LT(largest, kSize * sizeof(float)) << "smaller than any buffer of a micro-batch";
}

}  // namespace
}  // namespace arcshard::shard
