#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "shard_server/head/checked_head.h"
#include "shard_server/head/cpu/active_classes.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/class_store.h"
#include "shard_server/head/cpu/kept/early_gradient.h"
#include "shard_server/head/cpu/kept/kept_exponentials.h"
#include "shard_server/head/cpu/kernels/block_ops.h"
#include "shard_server/head/cpu/kernels/products.h"
#include "shard_server/head/cpu/prepared_group.h"
#include "shard_server/head/cpu/update_block.h"
#include "shard_server/head/cpu/worker_pool.h"

namespace arcshard::head {

// The head on the CPU; T is the compute type, float or Bfloat16. For each block of n classes that take part and each
// group of B samples, with unit vectors Ê (B×D) and ŵ (docs/design.md §1):
//
//   pass 1   S = W·Ê^T (n×B)     Q = exp(s·S/|w| - a)/|w|, 0 at own classes     z += sum of Q·|w|     U += Q^T·W
//   pass 2   H = Q·(r·Ê) + t·ê/|w| at own classes, which is (dL/dŵ)/|w|; then the optimizer's step in place
//
// W, Ê, Q and r·Ê have type T in the products; S, U, H and t·ê/|w| are float32. The scale of a row is folded into the
// exponential and into Q, and r is folded into Ê, so Ŵ is never formed. Each thread processes its own blocks with its
// own U and z, and these are added in the order of the threads. The rows of a sampled step are gathered block by block,
// once in each pass. Pass 2 computes each Q again that pass 1 did not keep; in a replayed step, which has no pass 1,
// that is every Q. H of the first blocks may be computed before the decision about the step (FormGradient).
template <typename T>
class CpuHead final : public CheckedHead {
 public:
  // Requires options that CheckOptions accepts. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<CpuHead>> Create(const HeadOptions& options);

 private:
  // Memory of one thread: for one block, except u and z.
  struct Scratch {
    Buffer<float> s;              // rows×stride; unused where Q is float32
    Buffer<T> q;                  // rows×stride; unused where the block's Q is kept
    Buffer<T> q_transposed;       // stride×rows
    Buffer<T> centers;            // rows×depth; unused where the stored centers can be used in place
    Buffer<T> packed_centers;     // rows×D
    Buffer<float> inverse_norms;  // rows; unused where the stored ones can be used in place
    Buffer<float> h;              // rows×D
    Buffer<uint32_t> randoms;     // random bits for one row
    Buffer<float> block_z;        // B
    Buffer<float> u;              // stride×D
    Buffer<double> z;             // B
  };

  // Where the results of one sample of the group go.
  struct OutputRow {
    float* z;
    float* u;           // D
    float* own_center;  // D
  };

  explicit CpuHead(const HeadOptions& options);
  absl::Status Allocate();
  absl::Status ReserveScratch(int64_t samples, bool pass_1);

  absl::Status DoBegin(uint64_t step, const LabelSet& labels) override;
  absl::Status DoForward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) override;
  absl::Status DoFormGradient(absl::Span<const Group> groups, absl::FunctionRef<bool()> stop) override;
  absl::Status DoUpdate(absl::Span<const Group> groups, float lr) override;
  void DoDiscard() override;
  absl::Status DoReadWeights(int64_t first, MatrixView<float> out) const override;
  absl::Status DoReadMoment(int moment, int64_t first, MatrixView<float> out) const override;
  absl::Status DoWriteWeights(int64_t first, MatrixView<const float> rows) override;
  absl::Status DoWriteMoment(int moment, int64_t first, MatrixView<const float> rows) override;
  absl::Status DoReadCounts(int64_t first, absl::Span<uint32_t> out) const override;
  absl::Status DoWriteCounts(int64_t first, absl::Span<const uint32_t> counts) override;
  absl::Status DoReadHeld(RowPart part, int64_t first, absl::Span<std::byte> out) const override;

  absl::Span<const float> InverseNorms(const BlockRows& rows, const T* centers, Scratch& scratch) const;
  BlockShape ShapeOf(const Block& block, const PreparedGroup<T>& group) const;
  // Computes the block's Q into `q` from its centers and the group's unit embeddings, and the block's part of z into
  // scratch.block_z.
  void ComputeExponentials(const Block& block, const T* centers, const PreparedGroup<T>& group, Scratch& scratch,
                           T* q) const;
  // The block's centers as a right factor.
  const T* Packed(const T* centers, int64_t rows, Scratch& scratch) const;
  void ForwardBlocks(int thread);
  void AddUpOutputs(int thread);
  absl::Status PrepareUpdate(absl::Span<const Group> groups);
  // Computes H of the plan's block number `number`.
  void GradientOfBlock(int64_t number, Scratch& scratch, float* h) const;
  void UpdateBlocks(int thread, const UpdateStep& update);
  void AddOwnClasses(const Block& block, const PreparedGroup<T>& group, float* h) const;

  ClassStore store_;
  const NegativeExponential exponential_;
  ActiveClasses active_;
  WorkerPool pool_;
  KeptExponentials kept_;
  std::vector<Scratch> scratch_;  // one for each thread
  PreparedGroup<T> forward_;
  std::vector<OutputRow> outputs_;        // for the samples of forward_
  std::vector<PreparedGroup<T>> update_;  // grows to the largest number of groups of a step
  size_t update_groups_ = 0;              // of this step's update
  EarlyGradient early_;
};

extern template class CpuHead<float>;
extern template class CpuHead<Bfloat16>;

}  // namespace arcshard::head
