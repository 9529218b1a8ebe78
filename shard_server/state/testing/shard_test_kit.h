#pragma once

#include <bit>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/testing/fake_clock.h"
#include "common/protocol/lineage.h"
#include "shard_server/head/head.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/shard_state.h"

// For tests of the state machine: a head with trivial arithmetic, an output that records its calls, and a small run of
// 10 classes, of which this shard (id 1) holds [2, 6), with D = 3, workers 0 and 7, and steps of three micro-batches of
// 2, 2 and 1 samples.
namespace arcshard::shard {

inline constexpr int64_t kDim = 3;
inline constexpr View kView{1, 2};

// z = 1 + the sum of the embedding's values, U = 2·embedding, own center = the label in every dimension. Instead of
// class centers it holds a hash over everything that was applied to it, in order.
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
    if (in_a_step) return absl::FailedPreconditionError("a step is in hand");
    in_a_step = true;
    begun.push_back(absl::StrCat("step ", step, ": ", absl::StrJoin(labels, " ")));
    return absl::OkStatus();
  }
  absl::Status Forward(absl::Span<const head::ForwardInput> group,
                       absl::Span<const head::ForwardOutput> outputs) override {
    if (!failure.ok()) return failure;
    if (!in_a_step) return absl::FailedPreconditionError("no step was begun");
    if (during_forward) std::exchange(during_forward, nullptr)();
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
    clock.Advance(pass_1);
    return absl::OkStatus();
  }

  // Counts how often `stop` says false, and at most 1000 times.
  absl::Status FormGradient(absl::Span<const head::Group> groups, absl::FunctionRef<bool()> stop) override {
    if (!failure.ok()) return failure;
    if (!in_a_step) return absl::FailedPreconditionError("no step was begun");
    gradients.push_back(groups.size());
    if (during_gradient) std::exchange(during_gradient, nullptr)();
    for (gradient_blocks = 0; gradient_blocks < 1000 && !stop(); ++gradient_blocks) {
    }
    clock.Advance(gradient);
    return absl::OkStatus();
  }

  absl::Status Update(absl::Span<const head::Group> groups, float lr) override {
    if (!failure.ok()) return failure;
    if (!in_a_step) return absl::FailedPreconditionError("no step was begun");
    if (during_update) std::exchange(during_update, nullptr)();
    std::string update = absl::StrCat("lr ", lr);
    Mix(std::bit_cast<uint32_t>(lr));
    for (const head::Group& group : groups) {
      absl::StrAppend(&update, " |");
      for (const head::UpdateInput& input : group) {
        absl::StrAppend(&update, " ", input.forward.labels[0], ":", input.r[0]);
        for (const int64_t label : input.forward.labels) Mix(static_cast<uint64_t>(label));
        const head::MatrixView<const float> e = input.forward.embedding;
        MixAll({e.data, static_cast<size_t>(e.size())});
        MixAll(input.r);
        MixAll(input.t);
      }
    }
    updates.push_back(std::move(update));
    in_a_step = false;
    clock.Advance(pass_2);
    return absl::OkStatus();
  }
  void Discard() override {
    updates.push_back("discard");
    in_a_step = false;
  }

  absl::Status ReadWeights(ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status ReadMoment(int, ClassRange, head::MatrixView<float>) const override { return absl::OkStatus(); }
  absl::Status WriteWeights(ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status WriteMoment(int, ClassRange, head::MatrixView<const float>) override { return absl::OkStatus(); }
  absl::Status ReadCounts(ClassRange, absl::Span<uint32_t>) const override { return absl::OkStatus(); }
  absl::Status WriteCounts(ClassRange, absl::Span<const uint32_t>) override { return absl::OkStatus(); }
  absl::Status ReadHeld(head::RowPart, ClassRange, absl::Span<std::byte>) const override { return absl::OkStatus(); }
  void Observe(head::UpdateObserver*) override {}

  absl::Status failure;
  std::function<void()> during_forward;  // called once, in the next Forward, before it reads its inputs
  std::function<void()> during_gradient, during_update;
  FakeClock clock;        // advanced by each pass
  absl::Duration pass_1;  // how long Forward takes
  absl::Duration gradient, pass_2;
  uint64_t state = 0;  // the hash
  bool in_a_step = false;
  std::vector<std::string> begun;     // "step 1: 4 3 2", the labels that the step began with
  std::vector<size_t> group_sizes;    // micro-batches of each Forward
  std::vector<size_t> gradients;      // groups of each FormGradient
  int gradient_blocks = 0;            // of the last one
  std::vector<const float*> buffers;  // E, z and U of every micro-batch
  std::vector<std::string> updates;   // "lr 0.5 | label:r label:r | label:r", or "discard"

 private:
  void Mix(uint64_t value) { state = (state ^ value) * 0x9E3779B97F4A7C15u + (state >> 29); }
  void MixAll(absl::Span<const float> values) {
    for (const float value : values) Mix(std::bit_cast<uint32_t>(value));
  }

  head::HeadOptions options_;
};

class RecordingOutput final : public ShardOutput {
 public:
  struct Request {
    View view;
    uint32_t peer = 0;
    StatePoint after;
    uint64_t until = 0;
    friend bool operator==(const Request&, const Request&) = default;
  };

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
    if (head != nullptr) saved[step] = head->state;
  }
  absl::Status CarriedOut(const std::shared_ptr<const ReplayRecord>& record) override {
    carried_out.push_back(absl::StrCat("step ", record->plan.step, " of workers ", absl::StrJoin(record->workers, " "),
                                       " after ", applied.size(), " applied, ", replayed.size(), " replayed"));
    return keep_failure;
  }
  void Applied(uint64_t step, Outcome) override { applied.push_back(step); }
  absl::Status RestoreBase(const ViewAnnouncement& view) override {
    if (during_restore) std::exchange(during_restore, nullptr)();
    if (!restore_failure.ok()) return restore_failure;
    restored.push_back(view.base.step);
    if (head != nullptr) head->state = view.base.step == 0 ? 0 : saved.at(view.base.step);
    return absl::OkStatus();
  }
  void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) override {
    requests.push_back({view.view, peer, after, until});
  }
  void Replayed(const StatePoint& after) override { replayed.push_back(after.step); }
  void Joined(const JoinedReport& report) override { joined.push_back(report); }
  void LostPeers(const LostPeersReport& report) override { lost.push_back(report); }

  FakeHead* head = nullptr;  // whose state checkpoints save and RestoreBase sets; null: none
  std::function<void()> during_restore;
  absl::Status restore_failure;
  std::map<uint64_t, uint64_t> saved;  // the head's state by step
  std::vector<std::string> sent;
  std::vector<float> z, u, own_centers;  // of the last statistics
  std::vector<uint32_t> own_rows;
  std::vector<std::pair<uint32_t, absl::Status>> refused;
  std::vector<ReadyVote> votes;
  std::vector<std::string> carried_out;  // "step 3 of workers 0 7 after 2 applied, 0 replayed"
  absl::Status keep_failure;             // of CarriedOut
  std::vector<uint64_t> applied;
  std::vector<std::string> checkpoints;  // "view 1.2, step 3 after 2 applied"
  std::vector<uint64_t> restored;        // steps of the bases
  std::vector<Request> requests;
  std::vector<uint64_t> replayed;
  std::vector<JoinedReport> joined;
  std::vector<LostPeersReport> lost;
};

// The run's first view.
inline ViewAnnouncement TestView() {
  ViewAnnouncement view;
  view.view = kView;
  view.num_classes = 10;
  view.shards = {{0, "", {0, 2}}, {1, "", {2, 6}}, {2, "", {6, 10}}};
  view.workers = {{0, "", "token of worker0"}, {7, "", "token of worker7"}};
  return view;
}

// A view with the same members, which goes on after `last`; shards 0 and 2 have a log from its base on.
inline ViewAnnouncement ViewAfter(const View& number, const Decision& last, const StatePoint& base = {}) {
  ViewAnnouncement view = TestView();
  view.view = number;
  view.state = last.after();
  view.last = last;
  view.base = base;
  if (base.step > 0) view.checkpoint = absl::StrCat("step ", base.step);
  for (const uint32_t shard : {0u, 2u}) view.shards[shard].has_log = view.shards[shard].holds = true;
  return view;
}

// A view with the same members, in which all go back to `base`.
inline ViewAnnouncement RollbackTo(const View& number, const StatePoint& base) {
  ViewAnnouncement view = TestView();
  view.view = number;
  view.state = view.base = base;
  if (base.step > 0) view.checkpoint = absl::StrCat("step ", base.step);
  return view;
}

inline Next PlanOf(uint64_t step) { return {NextAction::kStep, {step, 0, 5 * (step - 1), {2, 2, 1}}}; }
inline arcshard::Install InstallOf(const Next& next, const View& view = kView) { return {view, next, {}}; }
inline arcshard::Proceed ProceedOf(const Next& next, const View& view = kView) { return {view, next, {}}; }

// The decision with the lineage that it has on the state `before`.
inline Decision Following(const StatePoint& before, Decision decision) {
  decision.lineage = ExtendLineage(before.lineage, decision);
  return decision;
}
inline Decision CommitOn(const StatePoint& before, double lr = 0.5, const View& view = kView) {
  return Following(before, {view, before.step + 1, Outcome::kCommit, lr, PlanOf(before.step + 2)});
}
// The state after so many steps of view 1.2 that were committed with the default learning rate.
inline StatePoint PointAfter(uint64_t step) {
  return step == 0 ? StatePoint{} : CommitOn(PointAfter(step - 1)).after();
}
// Decisions on such a state.
inline Decision Commit(uint64_t step, double lr = 0.5) { return CommitOn(PointAfter(step - 1), lr); }
inline Decision Skip(uint64_t step) {
  return Following(PointAfter(step - 1), {kView, step, Outcome::kSkip, 0.5, PlanOf(step + 1)});
}

// Micro-batch m of a step has the labels {m + 1, m + 3} (micro-batch 2 only the first of them); every value of E is
// m + step, r is m and t is -m.
inline uint32_t WorkerOf(uint32_t m) { return m % 2 == 0 ? 0 : 7; }
inline int64_t SizeOf(uint32_t m) { return m == 2 ? 1 : 2; }
inline std::vector<int64_t> LabelsOf(uint32_t m) {
  std::vector<int64_t> labels = {m + 1, m + 3};
  labels.resize(SizeOf(m));
  return labels;
}
// Of a step's inputs: labels, embedding, r and t of five samples.
inline constexpr uint64_t kStepBytes = 5 * (sizeof(int64_t) + (kDim + 2) * sizeof(float));
inline std::vector<float> EmbeddingOf(uint64_t step, uint32_t m) {
  return std::vector<float>(SizeOf(m) * kDim, static_cast<float>(m + step));
}

class TestRun {
 public:
  // Not joined yet; InStep1 returns one that is in step 1.
  explicit TestRun(ShardState::Options options = DefaultOptions()) : state(WithClock(options, &head.clock), &output) {
    output.head = &head;
  }
  static ShardState::Options DefaultOptions() {
    static const FakeClock clock{};
    ShardState::Options options;
    options.id = 1;
    options.dim = kDim;
    options.batch_size = 5;
    options.max_in_flight = 2;
    options.clock = &clock;
    return options;
  }
  // With a log that has room for `steps` steps.
  static ShardState::Options OptionsWithLog(uint64_t steps) {
    ShardState::Options options = DefaultOptions();
    options.log_bytes = steps * kStepBytes;
    return options;
  }
  static std::unique_ptr<TestRun> InStep1(ShardState::Options options = DefaultOptions(), double sample_rate = 1.0) {
    auto run = std::make_unique<TestRun>(options);
    run->head.set_sample_rate(sample_rate);
    run->Enter(TestView(), PlanOf(1)).IgnoreError();
    return run;
  }

  // Joins the view and installs it.
  absl::Status Enter(const ViewAnnouncement& view, const Next& next) {
    if (absl::Status status = state.JoinView(view, &head); !status.ok()) return status;
    RunAll();
    return state.Install(InstallOf(next, view.view));
  }

  static Key KeyOf(uint64_t step, uint32_t m, const View& view = kView) { return {view, step, m}; }

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
  absl::Status SendStep(uint64_t step, const View& view = kView) {
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendLabels(KeyOf(step, m, view)); !status.ok()) return status;
    }
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendEmbedding(KeyOf(step, m, view)); !status.ok()) return status;
    }
    RunAll();
    for (uint32_t m = 0; m < 3; ++m) {
      if (absl::Status status = SendGradient(KeyOf(step, m, view)); !status.ok()) return status;
    }
    RunAll();
    return absl::OkStatus();
  }
  // Takes part in the steps up to `last`, all of which are committed in view 1.2. OK when all was accepted.
  absl::Status TakePart(uint64_t last) {
    for (uint64_t step = state.held().state.step + 1; step <= last; ++step) {
      if (absl::Status status = SendStep(step); !status.ok()) return status;
      if (absl::Status status = state.Decide(Commit(step)); !status.ok()) return status;
      RunAll();
    }
    return absl::OkStatus();
  }
  // The records of the steps after `after` up to `until`, as the state's log has them; none if it lacks one.
  std::vector<std::shared_ptr<const ReplayRecord>> Records(StatePoint after, uint64_t until) const {
    std::vector<std::shared_ptr<const ReplayRecord>> records;
    while (after.step < until) {
      absl::StatusOr<std::shared_ptr<const ReplayRecord>> record = state.RecordAfter(after);
      if (!record.ok()) return {};
      after = (*record)->after;
      records.push_back(*std::move(record));
    }
    return records;
  }

  FakeHead head;
  RecordingOutput output;
  ShardState state;

 private:
  // The run's time is that of its head.
  static ShardState::Options WithClock(ShardState::Options options, const Clock* clock) {
    options.clock = clock;
    return options;
  }
};

}  // namespace arcshard::shard
