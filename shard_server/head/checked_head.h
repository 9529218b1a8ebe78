#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"
#include "shard_server/head/label_set.h"

namespace arcshard::head {

// The base of the heads that compute (non-virtual interface). Its public functions check what every device requires of
// the caller (the order of the calls, shapes, labels, a finite learning rate; errors as in head.h) and then call the
// private Do... function that each device implements. Threading as for Head.
class CheckedHead : public Head {
 public:
  const HeadOptions& options() const final { return options_; }
  absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) final;
  absl::Status Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) final;
  absl::Status FormGradient(absl::Span<const Group> groups, absl::FunctionRef<bool()> stop) final;
  absl::Status Update(absl::Span<const Group> groups, float lr) final;
  void Discard() final;
  absl::Status ReadWeights(ClassRange range, MatrixView<float> out) const final;
  absl::Status ReadMoment(int moment, ClassRange range, MatrixView<float> out) const final;
  absl::Status WriteWeights(ClassRange range, MatrixView<const float> rows) final;
  absl::Status WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) final;
  absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const final;
  absl::Status WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) final;
  absl::Status ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const final;
  void Observe(UpdateObserver* observer) final { observer_ = observer; }

 protected:
  // Requires options that CheckOptions accepts.
  explicit CheckedHead(const HeadOptions& options);

  bool sampled() const { return options_.sample_rate < 1.0; }
  uint64_t step() const { return step_; }                 // the step in progress; 0: none
  UpdateObserver* observer() const { return observer_; }  // may be null

 private:
  // The arguments of these functions have been checked, and they are called in the order that head.h gives. An error is
  // the device's. `first` counts rows from the shard's first class; the size of the other argument says how many.

  // `labels`: of the whole global batch; empty unless the step is sampled.
  virtual absl::Status DoBegin(uint64_t step, const LabelSet& labels) = 0;
  virtual absl::Status DoForward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) = 0;
  // DoUpdate follows with the same groups, or DoDiscard.
  virtual absl::Status DoFormGradient(absl::Span<const Group> /*groups*/, absl::FunctionRef<bool()> /*stop*/) {
    return absl::OkStatus();
  }
  // DoForward has taken all of `groups`, or none of them where a recorded step is replayed. Update calls DoDiscard
  // afterwards when this succeeds.
  virtual absl::Status DoUpdate(absl::Span<const Group> groups, float lr) = 0;
  // Forgets what DoForward and DoFormGradient kept for pass 2.
  virtual void DoDiscard() = 0;

  virtual absl::Status DoReadWeights(int64_t first, MatrixView<float> out) const = 0;
  virtual absl::Status DoReadMoment(int moment, int64_t first, MatrixView<float> out) const = 0;
  virtual absl::Status DoWriteWeights(int64_t first, MatrixView<const float> rows) = 0;
  virtual absl::Status DoWriteMoment(int moment, int64_t first, MatrixView<const float> rows) = 0;
  virtual absl::Status DoReadCounts(int64_t first, absl::Span<uint32_t> out) const = 0;
  virtual absl::Status DoWriteCounts(int64_t first, absl::Span<const uint32_t> counts) = 0;
  // Called by any thread at any time. `out` is not empty.
  virtual absl::Status DoReadHeld(RowPart part, int64_t first, absl::Span<std::byte> out) const = 0;

  absl::Status CheckGroups(absl::Span<const Group> groups) const;
  int64_t RowOf(ClassRange range) const { return range.begin - options_.range.begin; }

  const HeadOptions options_;
  UpdateObserver* observer_ = nullptr;
  uint64_t step_ = 0;
  LabelSet labels_;                       // that the step began with, where it is sampled
  std::vector<int64_t> forward_samples_;  // samples of each Forward since Begin
};

}  // namespace arcshard::head
