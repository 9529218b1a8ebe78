#pragma once

#include <memory>
#include <utility>

#include "common/metrics/metric_list.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Measures the time of a head's Begin, Forward and Update. Threading as the head's.
class MeteredHead final : public head::Head {
 public:
  // `metrics` and `clock` outlive it.
  MeteredHead(std::unique_ptr<head::Head> head, ShardMetrics* metrics, const Clock* clock)
      : head_(std::move(head)),
        begin_(metrics->step_phase.With(kBegin)),
        pass_1_(metrics->step_phase.With(kPass1)),
        pass_2_(metrics->step_phase.With(kPass2)),
        clock_(clock) {}

  const head::HeadOptions& options() const override { return head_->options(); }
  absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) override {
    ScopedTimer timer(&begin_, clock_);
    return head_->Begin(step, labels);
  }
  absl::Status Forward(absl::Span<const head::ForwardInput> group,
                       absl::Span<const head::ForwardOutput> outputs) override {
    ScopedTimer timer(&pass_1_, clock_);
    return head_->Forward(group, outputs);
  }
  absl::Status Update(absl::Span<const head::Group> groups, float lr) override {
    ScopedTimer timer(&pass_2_, clock_);
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
  Histogram& begin_;
  Histogram& pass_1_;
  Histogram& pass_2_;
  const Clock* const clock_;
};

}  // namespace arcshard::shard
