#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "shard_server/head/head.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/shard_state.h"

// For tests of the state machine: a head with trivial arithmetic, an output that records its calls, and a small run of
// 10 classes, of which this shard (id 1) holds [2, 6), with D = 3, workers 0 and 7, and steps of three micro-batches of
// 2, 2 and 1 samples.
namespace arcshard::shard {

inline constexpr int64_t kDim = 3;
inline constexpr View kView{1, 2};

// z = 1 + the sum of the embedding's values, U = 2·embedding, own center = the label in every dimension.
class FakeHead final : public head::Head {
 public:
  FakeHead() {
    options_.num_classes = 10;
    options_.range = {2, 6};
    options_.dim = kDim;
    options_.scale = 32.0f;
  }

  const head::HeadOptions& options() const override { return options_; }
  void set_range(ClassRange range) { options_.range = range; }

  void set_sample_rate(double rate) { options_.sample_rate = rate; }

  absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) override {
    if (!failure.ok()) return failure;
    begun.push_back(absl::StrCat("step ", step, ": ", absl::StrJoin(labels, " ")));
    return absl::OkStatus();
  }
  absl::Status Forward(absl::Span<const head::ForwardInput> group,
                       absl::Span<const head::ForwardOutput> outputs) override {
    if (!failure.ok()) return failure;
    group_sizes.push_back(group.size());
    for (size_t m = 0; m < group.size(); ++m) {
      const head::MatrixView<const float> e = group[m].embedding;
      buffers.push_back(e.data);
      buffers.push_back(outputs[m].z.data());
      buffers.push_back(outputs[m].u.data);
      for (int64_t i = 0; i < e.rows; ++i) {
        outputs[m].z[i] = 1.0f;
        for (int64_t d = 0; d < e.cols; ++d) {
          outputs[m].z[i] += e.row(i)[d];
          outputs[m].u.row(i)[d] = 2.0f * e.row(i)[d];
          if (options_.range.contains(group[m].labels[i])) {
            outputs[m].own_centers.row(i)[d] = static_cast<float>(group[m].labels[i]);
          }
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status Update(absl::Span<const head::Group> groups, float lr) override {
    if (!failure.ok()) return failure;
    std::string update = absl::StrCat("lr ", lr);
    for (const head::Group& group : groups) {
      absl::StrAppend(&update, " |");
      for (const head::UpdateInput& input : group)
        absl::StrAppend(&update, " ", input.forward.labels[0], ":", input.r[0]);
    }
    updates.push_back(std::move(update));
    return absl::OkStatus();
  }
  void Discard() override { updates.push_back("discard"); }

  absl::Status ReadWeights(ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status ReadMoment(int, ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status WriteWeights(ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status WriteMoment(int, ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status ReadCounts(ClassRange, absl::Span<uint32_t>) const override { return absl::OkStatus(); }
  absl::Status WriteCounts(ClassRange, absl::Span<const uint32_t>) override { return absl::OkStatus(); }
  absl::Status ReadHeld(head::RowPart, ClassRange, absl::Span<std::byte>) const override { return absl::OkStatus(); }
  void Observe(head::UpdateObserver*) override {}

  absl::Status failure;
  std::vector<std::string> begun;     // "step 1: 4 3 2", the labels that the step began with
  std::vector<size_t> group_sizes;    // micro-batches of each Forward
  std::vector<const float*> buffers;  // E, z and U of every micro-batch
  std::vector<std::string> updates;   // "lr 0.5 | label:r label:r | label:r", or "discard"

 private:
  head::HeadOptions options_;
};

class RecordingOutput final : public ShardOutput {
 public:
  void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) override {
    sent.push_back(absl::StrCat("worker ", worker, " step ", key.step, " micro-batch ", key.micro_batch));
    z.assign(statistics.z.begin(), statistics.z.end());
    u.assign(statistics.u.data, statistics.u.data + statistics.u.size());
    own_rows.assign(statistics.own_rows.begin(), statistics.own_rows.end());
    own_centers.assign(statistics.own_centers.data, statistics.own_centers.data + statistics.own_centers.size());
  }
  void Refuse(uint32_t worker, const Key&, const absl::Status& why) override { refused.push_back({worker, why}); }
  void VoteReady(const ReadyVote& vote) override { votes.push_back(vote); }
  void TakeCheckpoint(const View& view, uint64_t step) override {
    checkpoints.push_back(absl::StrCat(ToString(view), ", step ", step, " after ", applied.size(), " applied"));
  }
  void Applied(uint64_t step, Outcome) override { applied.push_back(step); }

  std::vector<std::string> sent;
  std::vector<float> z, u, own_centers;  // of the last statistics
  std::vector<uint32_t> own_rows;
  std::vector<std::pair<uint32_t, absl::Status>> refused;
  std::vector<ReadyVote> votes;
  std::vector<uint64_t> applied;
  std::vector<std::string> checkpoints;  // "view 1.2, step 3 after 2 applied"
};

inline ViewAnnouncement TestView() {
  ViewAnnouncement view;
  view.view = kView;
  view.num_classes = 10;
  view.shards = {{0, "", {0, 2}}, {1, "", {2, 6}}, {2, "", {6, 10}}};
  view.workers = {{0, "", "token of worker0"}, {7, "", "token of worker7"}};
  return view;
}

inline Next PlanOf(uint64_t step) { return {NextAction::kStep, {step, 0, 5 * (step - 1), {2, 2, 1}}}; }
inline Decision Commit(uint64_t step, double lr = 0.5) { return {kView, step, Outcome::kCommit, lr, PlanOf(step + 1)}; }
inline Decision Skip(uint64_t step) { return {kView, step, Outcome::kSkip, 0.5, PlanOf(step + 1)}; }

// Micro-batch m of a step has the labels {m + 1, m + 3} (micro-batch 2 only the first of them); every value of E is
// m + step, r is m and t is -m.
inline uint32_t WorkerOf(uint32_t m) { return m % 2 == 0 ? 0 : 7; }
inline int64_t SizeOf(uint32_t m) { return m == 2 ? 1 : 2; }
inline std::vector<int64_t> LabelsOf(uint32_t m) {
  std::vector<int64_t> labels = {m + 1, m + 3};
  labels.resize(SizeOf(m));
  return labels;
}
inline std::vector<float> EmbeddingOf(uint64_t step, uint32_t m) {
  return std::vector<float>(SizeOf(m) * kDim, static_cast<float>(m + step));
}

class TestRun {
 public:
  // Not joined yet; InStep1 returns one that is in step 1.
  explicit TestRun(ShardState::Options options = DefaultOptions()) : state(options, &output) {}
  static ShardState::Options DefaultOptions() {
    ShardState::Options options;
    options.id = 1;
    options.dim = kDim;
    options.batch_size = 5;
    options.max_in_flight = 2;
    return options;
  }
  static std::unique_ptr<TestRun> InStep1(ShardState::Options options = DefaultOptions(), double sample_rate = 1.0) {
    auto run = std::make_unique<TestRun>(options);
    run->head.set_sample_rate(sample_rate);
    run->state.JoinView(TestView(), &run->head).IgnoreError();
    run->state.Decide(Commit(0)).IgnoreError();
    return run;
  }

  static Key KeyOf(uint64_t step, uint32_t m) { return {kView, step, m, 0}; }

  absl::Status SendLabels(const Key& key) {
    return state.Labels(WorkerOf(key.micro_batch), key, LabelsOf(key.micro_batch));
  }
  absl::Status SendEmbedding(const Key& key) { return SendEmbedding(key, EmbeddingOf(key.step, key.micro_batch)); }
  absl::Status SendEmbedding(const Key& key, const std::vector<float>& values) {
    return state.Embedding(WorkerOf(key.micro_batch), key,
                           {values.data(), static_cast<int64_t>(values.size()) / kDim, kDim});
  }
  absl::Status SendGradient(const Key& key, float off = 0.0f) {
    const std::vector<float> r(SizeOf(key.micro_batch), static_cast<float>(key.micro_batch) + off);
    const std::vector<float> t(SizeOf(key.micro_batch), -static_cast<float>(key.micro_batch));
    return state.Gradient(WorkerOf(key.micro_batch), key, r, t);
  }
  absl::Status SendLabels(uint64_t step, uint32_t m) { return SendLabels(KeyOf(step, m)); }
  absl::Status SendEmbedding(uint64_t step, uint32_t m) { return SendEmbedding(KeyOf(step, m)); }
  absl::Status SendGradient(uint64_t step, uint32_t m) { return SendGradient(KeyOf(step, m)); }

  void RunAll() {
    while (state.HasWork()) {
      if (!state.RunOne().ok()) return;
    }
  }

  // Sends all messages of a step, up to the vote. OK when every message was accepted.
  absl::Status SendStep(uint64_t step) {
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendLabels(step, m); !status.ok()) return status;
    }
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendEmbedding(step, m); !status.ok()) return status;
    }
    RunAll();
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendGradient(step, m); !status.ok()) return status;
    }
    RunAll();
    return absl::OkStatus();
  }

  FakeHead head;
  RecordingOutput output;
  ShardState state;
};

}  // namespace arcshard::shard
