#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/matrix.h"
#include "shard_server/head/update_observer.h"

// The head of one shard: a contiguous range of class centers, the sums over negatives (docs/design.md §1) and the
// update of the centers. It depends on no margin and no loss, and on neither gRPC nor protobuf. Shapes: N classes in
// total, of which this shard holds C; D dimensions; B samples.
namespace arcshard::head {

// The inputs of pass 1 for one micro-batch. The memory must stay valid until Forward or Update returns.
struct ForwardInput {
  MatrixView<const float> embedding;  // B×D, not normalised
  absl::Span<const int64_t> labels;   // B, in [0, N)
};

// The outputs of pass 1 for one micro-batch, in memory of the caller.
struct ForwardOutput {
  absl::Span<float> z;            // B: sum of exp(l - a) over this shard's negatives
  MatrixView<float> u;            // B×D: sum of exp(l - a)·ŵ_j over this shard's negatives
  MatrixView<float> own_centers;  // B×D: ŵ of the label's class; rows whose label another shard owns are left alone
};

// The inputs of pass 2 for one micro-batch: those of pass 1 and the derivatives of the worker's loss.
struct UpdateInput {
  ForwardInput forward;
  absl::Span<const float> r;  // B: α·s/z with α = dL/dlse
  absl::Span<const float> t;  // B: dL/dc, c being the cosine to the own center
};

// The micro-batches that one call of Forward processes together. Pass 2 uses the same groups, also where a step is
// replayed, because it may compute exponentials again, and a matrix product of another shape may round differently.
using Group = std::vector<UpdateInput>;

// Thread-compatible (the shard's executor makes all calls), except that ReadHeld may be called by any thread at any
// time. After the first steps, no call allocates memory that grows with B, C or D.
//
//   Begin(t) -> [Forward ... Forward ->] [FormGradient ->] Update | Discard -> Begin(t + 1) ...
//
// A step is computed with a Forward for each group, or replayed from its record without any: Update then computes the
// exponentials itself, which takes two matrix products in place of three or four. Both leave the same bits.
class Head {
 public:
  // The first weights are 0.01·normal from the counter hash of (seed, j, d), so they depend neither on the number of
  // shards nor on their ranges. Without `options.first_weights` there are zeros instead, which take no time to draw.
  // InvalidArgument: an option is out of range; the message names it. Unimplemented: this build has no code for the
  // device. NotFound: there is no such device. ResourceExhausted: the range does not fit into `capacity_bytes`, which
  // is found before anything is allocated, or there is no memory.
  static absl::StatusOr<std::unique_ptr<Head>> Create(const HeadOptions& options, int64_t capacity_bytes);

  virtual ~Head() = default;

  // The bytes of weights, moments, step counts and inverse norms of `options.range`, plus the exponentials' budget.
  static int64_t RequiredBytes(const HeadOptions& options);

  virtual const HeadOptions& options() const = 0;

  // Begins step `step` (at least 1). With sample_rate < 1, `labels` are the labels of the whole global batch, whichever
  // shards own them, possibly repeated; together with the draw of (seed, step) they determine which classes take part.
  // Without sampling they are ignored. InvalidArgument: step 0, or a label is not in [0, N). FailedPrecondition: the
  // previous step has been neither updated nor discarded.
  virtual absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) = 0;

  // Pass 1 for a group: one output for each micro-batch. A non-finite embedding makes the outputs of its own sample
  // non-finite. InvalidArgument: shapes disagree, a label is not in [0, N), or, with sampling, a label was not passed
  // to Begin. FailedPrecondition: no step was begun.
  virtual absl::Status Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) = 0;

  // Computes the part of the coming Update's work that changes nothing, the gradient of the classes that take part,
  // block by block: as many blocks as the exponentials have left memory for, until `stop` returns true. The head asks
  // it before each block, from each of its threads; a block takes about a millisecond. `groups` must be the Update's.
  // The Update leaves the same bits as without this call. A device may leave all to Update. Errors as of Update.
  virtual absl::Status FormGradient(absl::Span<const Group> groups, absl::FunctionRef<bool()> stop) = 0;

  // Pass 2: updates weights and moments of the classes that take part, in place and block by block, and ends the step.
  // `groups`: those of all Forwards since Begin, in the same order; if there was none, those with which the step was
  // computed. `lr`: the learning rate of this step.
  // InvalidArgument: shapes or labels are invalid (as for Forward), there were Forwards and their number or that of
  // their samples differs from the groups', or lr is not finite. FailedPrecondition: no step was begun. Nothing has
  // changed after either of these errors.
  virtual absl::Status Update(absl::Span<const Group> groups, float lr) = 0;

  // Ends the step without an update, because it is skipped: weights and moments stay as they are. Has no effect when no
  // step was begun.
  virtual void Discard() = 0;

  // Read or write the rows of the classes `range`, which must lie inside this shard's range. Matrices are
  // range.size()×D in float32; values written are rounded to the nearest value of the stored type. `moment`: 0 for
  // SGD's v or AdamW's m, 1 for AdamW's v. InvalidArgument: a row outside the shard's range, a wrong shape, or a moment
  // that the optimizer doesn't have. FailedPrecondition: weights are written during a step.
  virtual absl::Status ReadWeights(ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status ReadMoment(int moment, ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status WriteWeights(ClassRange range, MatrixView<const float> rows) = 0;
  virtual absl::Status WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) = 0;

  // AdamW's step count n of each class in `range`. InvalidArgument: as above. FailedPrecondition: the optimizer has no
  // counts.
  virtual absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const = 0;
  virtual absl::Status WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) = 0;

  // Copies rows in the stored type. Any thread may call it at any time, also during an update, unless these rows are
  // being written. An update writes a row between the observer's call for it and its own return.
  // InvalidArgument: a row outside the shard's range, a part that the optimizer doesn't have, or an `out` whose size is
  // not range.size()·HeldBytes.
  virtual absl::Status ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const = 0;

  // Updates call `observer` from now on; null: none. It must outlive them. Must not be called during an update.
  virtual void Observe(UpdateObserver* observer) = 0;
};

}  // namespace arcshard::head
