#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/matrix.h"

// The head of one shard: a contiguous range of class centers, the sums over negatives of DESIGN §1 and the update of
// the centers. It knows no margin and no loss, no gRPC and no protobuf. Shapes: N classes in all, of which this shard
// holds C rows; D dimensions; B samples of a group.
namespace arcshard::head {

enum class Device { kCpu };

// SGD as PyTorch defines it: v <- momentum·v + (gradient + weight_decay·w), w <- w - lr·v.
struct SgdOptions {
  float momentum = 0.9f;
  float weight_decay = 5e-4f;
};

struct HeadOptions {
  int64_t num_classes = 0;  // N, of the whole run: it is in the shift a = scale + ln N - 69
  ClassRange range;         // the C classes held here
  int64_t dim = 0;          // D
  float scale = 64.0f;      // s, in (0, 80]
  SgdOptions optimizer;
  Device device = Device::kCpu;
  int threads = 1;               // of the passes; the caller's thread is one of them
  int64_t exp_budget_bytes = 0;  // exponentials kept from pass 1 for pass 2; changes speed, never a bit of the result
};

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

// Thread-compatible: one call at a time (the shard's executor makes them all). After the first steps nothing is
// allocated that grows with B, C or D.
class Head {
 public:
  // InvalidArgument: an option out of range, by name. ResourceExhausted: the range does not fit `capacity_bytes`, said
  // with the figures, before anything is allocated.
  // The first weights are 0.01·normal of the counter hash (seed, j, d): they depend on neither K nor ranges.
  static absl::StatusOr<std::unique_ptr<Head>> Create(const HeadOptions& options, uint64_t seed,
                                                      int64_t capacity_bytes);

  virtual ~Head() = default;

  // Bytes of weights, momentum and inverse norms of `options.range`, plus the exponentials' budget.
  static int64_t RequiredBytes(const HeadOptions& options);

  virtual const HeadOptions& options() const = 0;

  // Pass 1 over the micro-batches of a group. Non-finite embeddings travel like any others.
  // InvalidArgument: shapes disagree, or a label is not in [0, N).
  virtual absl::Status Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) = 0;

  // Pass 2: `groups` are the groups of all Forwards since the last Update or Discard, in the same order. Updates
  // weights and momentum in place, block by block. lr: of this step. InvalidArgument: shapes, labels or the number of
  // groups or of their samples disagree with those Forwards, or lr is not finite. Nothing has changed then.
  virtual absl::Status Update(absl::Span<const Group> groups, float lr) = 0;

  // The step was skipped: forgets the groups since the last Update. Weights and momentum stay as they are.
  virtual void Discard() = 0;

  // Copies of the rows [range.begin, range.end) of the whole matrix, inside this shard's range. `out` is rows×D.
  // InvalidArgument: a row outside the range, or another shape. FailedPrecondition: weights are written between a
  // Forward and its Update or Discard.
  virtual absl::Status ReadWeights(ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status ReadMomentum(ClassRange range, MatrixView<float> out) const = 0;
  virtual absl::Status WriteWeights(ClassRange range, MatrixView<const float> rows) = 0;
  virtual absl::Status WriteMomentum(ClassRange range, MatrixView<const float> rows) = 0;
};

}  // namespace arcshard::head
