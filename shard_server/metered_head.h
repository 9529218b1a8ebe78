#pragma once

#include <memory>
#include <utility>

#include "common/metrics/metric_list.h"
#include "common/metrics/phase.h"
#include "common/trace/trace_row.h"
#include "shard_server/head/head.h"
#include "shard_server/state/executor_trace.h"

namespace arcshard::shard {

// Measures the time of a head's Begin, Forward, FormGradient and Update. Threading as the head's.
class MeteredHead final : public head::Head {
 public:
  // `metrics` and `clock` outlive it.
  MeteredHead(std::unique_ptr<head::Head> head, ShardMetrics* metrics, const Clock* clock)
      : head_(std::move(head)),
        row_(metrics->tracer, kExecutorRow),
        begin_(metrics, kBegin, row_),
        pass_1_(metrics, kPass1, row_),
        gradient_(metrics, kGradient, row_),
        pass_2_(metrics, kPass2, row_),
        clock_(clock) {}

  const head::HeadOptions& options() const override { return head_->options(); }
  absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) override {
    step_ = step;
    PhaseTimer timer(&begin_, clock_, {.step = step_});
    return head_->Begin(step, labels);
  }
  absl::Status Forward(absl::Span<const head::ForwardInput> group,
                       absl::Span<const head::ForwardOutput> outputs) override {
    PhaseTimer timer(&pass_1_, clock_, {.step = step_});
    return head_->Forward(group, outputs);
  }
  absl::Status FormGradient(absl::Span<const head::Group> groups, absl::FunctionRef<bool()> stop) override {
    PhaseTimer timer(&gradient_, clock_, {.step = step_});
    return head_->FormGradient(groups, stop);
  }
  absl::Status Update(absl::Span<const head::Group> groups, float lr) override {
    PhaseTimer timer(&pass_2_, clock_, {.step = step_});
    return head_->Update(groups, lr);
  }
  void Discard() override { head_->Discard(); }
  absl::Status ReadWeights(ClassRange range, head::MatrixView<float> out) const override {
    return head_->ReadWeights(range, out);
  }
  absl::Status ReadMoment(int moment, ClassRange range, head::MatrixView<float> out) const override {
    return head_->ReadMoment(moment, range, out);
  }
  absl::Status WriteWeights(ClassRange range, head::MatrixView<const float> rows) override {
    return head_->WriteWeights(range, rows);
  }
  absl::Status WriteMoment(int moment, ClassRange range, head::MatrixView<const float> rows) override {
    return head_->WriteMoment(moment, range, rows);
  }
  absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const override {
    return head_->ReadCounts(range, out);
  }
  absl::Status WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) override {
    return head_->WriteCounts(range, counts);
  }
  absl::Status ReadHeld(head::RowPart part, ClassRange range, absl::Span<std::byte> out) const override {
    return head_->ReadHeld(part, range, out);
  }
  void Observe(head::UpdateObserver* observer) override { head_->Observe(observer); }

 private:
  const std::unique_ptr<head::Head> head_;
  const TraceRow row_;
  StepPhase begin_, pass_1_, gradient_, pass_2_;
  uint64_t step_ = 0;  // that began last
  const Clock* const clock_;
};

}  // namespace arcshard::shard
