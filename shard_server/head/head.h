#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/matrix.h"
#include "shard_server/head/update_observer.h"

// The head of one shard: a contiguous range of class centers, the sums over negatives of DESIGN §1 and the update of
// the centers. It knows no margin and no loss, no gRPC and no protobuf. Shapes: N classes in all, of which this shard
// holds C rows; D dimensions; B samples of a group.
namespace arcshard::head {

// The inputs of pass 1 for one micro-batch. The memory must stay until Forward returns.
struct ForwardInput {
  MatrixView<const float> embedding;  // B×D, not normalised
  absl::Span<const int64_t> labels;   // B, in [0, N)
};

// What pass 1 gives for one micro-batch. The caller owns the memory.
struct ForwardOutput {
  absl::Span<float> z;            // B: sum over this shard's negatives of exp(l - a)
  MatrixView<float> u;            // B×D: sum over this shard's negatives of exp(l - a)·w_hat_j
  MatrixView<float> own_centers;  // B×D: w_hat of the label where this shard owns it, else row untouched
};

// The inputs of pass 2 for one micro-batch: those of pass 1 and what the worker's loss says.
struct UpdateInput {
  ForwardInput forward;
  absl::Span<const float> r;  // B: alpha·s/z
  absl::Span<const float> t;  // B: dL/dcos of the own center
};

// A group is what one call of Forward took together; exponentials that are computed again in pass 2 use the same
// groups, because a matrix product of another shape may round differently.
using Group = std::vector<UpdateInput>;

// Thread-compatible: one call at a time (the shard's executor makes them all), but for ReadHeld. After the first steps
// nothing is allocated that grows with B, C or D.
//
//   Begin(t) -> Forward ... Forward -> Update | Discard -> Begin(t + 1) ...
class Head {
 public:
  // InvalidArgument: an option out of range, by name. Unimplemented: options that do not go together, or a device that
  // this build has no code for, with the reason. NotFound: there is no such device. ResourceExhausted: the range does
  // not fit `capacity_bytes`, said with the figures, before anything is allocated.
  // The first weights are 0.01·normal of the counter hash (seed, j, d): they depend on neither K nor ranges.
  static absl::StatusOr<std::unique_ptr<Head>> Create(const HeadOptions& options, int64_t capacity_bytes);

  virtual ~Head() = default;

  // Bytes of weights, moments, step counts and inverse norms of `options.range`, plus the exponentials' budget.
  static int64_t RequiredBytes(const HeadOptions& options);

  virtual const HeadOptions& options() const = 0;

  // Begins step `step` (from 1). With sample_rate < 1 `labels` are those of the whole global batch, whichever shard
  // owns them (repeats allowed), and with the draw of (seed, step) they say which classes take part; otherwise they are
  // not looked at. InvalidArgument: step 0, or a label is not in [0, N). FailedPrecondition: a step is in hand.
  virtual absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) = 0;

  // Pass 1 over the micro-batches of a group. Non-finite embeddings travel like any others.
  // InvalidArgument: shapes disagree, or a label is not in [0, N) or, sampled, was not among Begin's.
  // FailedPrecondition: no step was begun.
  virtual absl::Status Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) = 0;

  // Pass 2: `groups` are the groups of all Forwards since Begin, in the same order. Updates weights and moments of the
  // classes that take part in place, block by block, and ends the step. lr: of this step. InvalidArgument: shapes,
  // labels or the number of groups or of their samples disagree with those Forwards, or lr is not finite.
  // FailedPrecondition: no step was begun. Nothing has changed then.
  virtual absl::Status Update(absl::Span<const Group> groups, float lr) = 0;

  // The step was skipped: forgets it. Weights and moments stay as they are. Harmless when no step was begun.
  virtual void Discard() = 0;

  // Copies of the rows [range.begin, range.end) of the whole matrix, inside this shard's range, widened to float32,
  // which loses nothing; what is written is rounded to the nearest value of the type held. `out` is rows×D.
  // `moment`: 0: SGD's v or AdamW's m, 1: AdamW's v. InvalidArgument: a row outside the range, another shape, or no
  // such moment. FailedPrecondition: weights are written while a step is in hand.
  virtual absl::Status ReadWeights(ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status ReadMoment(int moment, ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status WriteWeights(ClassRange range, MatrixView<const float> rows) = 0;
  virtual absl::Status WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) = 0;

  // AdamW's n of each class of the range. InvalidArgument: as above. FailedPrecondition: the optimizer has no counts.
  virtual absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const = 0;
  virtual absl::Status WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) = 0;

  // Copies of rows as they are held. Any thread, at any time, also within an update, as long as nobody writes these
  // rows: an update does, from the observer's word about them until it returns. InvalidArgument: a row outside the
  // range, no such part, or `out` is not of the size that HeldBytes says.
  virtual absl::Status ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const = 0;

  // From now on updates tell `observer`, which outlives them; null: nobody. Not while an update runs.
  virtual void Observe(UpdateObserver* observer) = 0;
};

}  // namespace arcshard::head
