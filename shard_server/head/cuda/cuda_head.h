#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "shard_server/head/checked_head.h"
#include "shard_server/head/cuda/cuda_active_rows.h"
#include "shard_server/head/cuda/cuda_batch.h"
#include "shard_server/head/cuda/cuda_blas.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_stream.h"

namespace arcshard::head {

// The head on a GPU. It makes the same passes over blocks of classes as CpuHead: products by cuBLAS and kernels between
// them, all on one stream. A pass copies its inputs from page-locked memory, queues all its work, copies its results
// back, and waits once at the end. S stays in the device's L2 cache where W, S and H of a block fit into it; no matrix
// of B×N values exists. A replayed step consists of pass 2 alone.
//
// An error of the device during an update leaves some weights updated and others not: the head must not be used any
// more.
class CudaHead final : public CheckedHead {
 public:
  // Requires options that CheckOptions accepts. block_rows: the most rows of a block, a multiple of kTileRows. Errors
  // as for CreateGpuHead.
  static absl::StatusOr<std::unique_ptr<CudaHead>> Create(const HeadOptions& options, int64_t block_rows);

  // The number of rows of a block: a function of the dimension alone, so that every pass has the same blocks. 4096 at
  // D = 512.
  static int64_t RowsOfBlock(int64_t dim);

 private:
  // A group of the step's pass 1, and the blocks of its Q that are kept: the first ones, as many as the budget allows.
  struct StepGroup {
    int64_t samples = 0;
    int64_t kept_blocks = 0;
    int64_t offset = 0;  // bytes, in kept_
    int64_t bytes_per_block = 0;
    int64_t kept_bytes = 0;
  };
  // The place of a group in the batch of the pass.
  struct GroupSlots {
    int64_t first = 0;  // slot
    int64_t samples = 0;
    int64_t stride() const { return CudaBatch::StrideOf(samples); }
  };

  // The class centers of a block in the compute type, and their inverse norms.
  struct BlockCenters {
    ConstValues w;  // no data: not there yet
    const float* inverse_norms = nullptr;
  };

  CudaHead(const HeadOptions& options, int64_t block_rows);
  absl::Status CheckFreeMemory() const;
  absl::Status Allocate();
  absl::Status FillWeights();
  // Makes the head's device the calling thread's current one.
  absl::Status UseDevice() const;

  absl::Status DoBegin(uint64_t step, const LabelSet& labels) override;
  absl::Status DoForward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) override;
  absl::Status DoUpdate(absl::Span<const Group> groups, float lr) override;
  void DoDiscard() override;
  absl::Status DoReadWeights(int64_t first, MatrixView<float> out) const override;
  absl::Status DoReadMoment(int moment, int64_t first, MatrixView<float> out) const override;
  absl::Status DoWriteWeights(int64_t first, MatrixView<const float> rows) override;
  absl::Status DoWriteMoment(int moment, int64_t first, MatrixView<const float> rows) override;
  absl::Status DoReadCounts(int64_t first, absl::Span<uint32_t> out) const override;
  absl::Status DoWriteCounts(int64_t first, absl::Span<const uint32_t> counts) override;
  absl::Status DoReadHeld(RowPart part, int64_t first, absl::Span<std::byte> out) const override;

  // --- blocks of the step
  ActiveRows rows() const { return sampled() ? active_.rows() : ActiveRows{}; }
  int64_t positions() const { return sampled() ? active_.size() : options().range.size(); }
  int64_t blocks() const { return (positions() + block_rows_ - 1) / block_rows_; }
  PositionRange Block(int64_t block) const;
  CudaBlockShape ShapeOf(const PositionRange& block, const GroupSlots& group) const {
    return {block.size, group.samples, options().dim, group.stride()};
  }

  absl::Status ReserveScratch(int64_t samples);
  // In a sampled step, computes the positions of the batch's targets, and replaces the rows of own classes by
  // positions.
  absl::Status FindTargets();
  // In place where possible, gathered otherwise.
  absl::StatusOr<BlockCenters> CentersOf(const PositionRange& block);
  absl::Status ComputeExponentials(const PositionRange& block, const GroupSlots& group, const BlockCenters& centers,
                                   Values q);
  Values ScratchQ() const;
  Values Slot(const StepGroup& group, int64_t block) const;  // no data where the block's Q is not kept
  StepGroup MakeStepGroup(int64_t samples) const;

  // --- passes
  absl::Status ForwardGroup(const StepGroup& kept);
  absl::Status ForwardBlocks(const GroupSlots& group, const StepGroup& kept, float* u);
  void HandOut(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) const;
  // Calls the observer for the block. Requires that no queued work changes the block's rows.
  absl::Status TellObserver(const PositionRange& block);
  absl::Status UpdateBlock(int64_t index, absl::Span<const GroupSlots> groups, float lr);
  // H of a block: (dL/dŵ)/|w|, without the own classes.
  absl::Status ComputeGradient(int64_t index, absl::Span<const GroupSlots> groups);

  // --- rows in and out
  absl::Status ReadRows(const CudaBuffer& memory, DataType type, int64_t first, MatrixView<float> out) const;
  absl::Status WriteRows(const CudaBuffer& memory, DataType type, int64_t first, MatrixView<const float> rows);

  const NegativeExponential exponential_;
  const int64_t block_rows_;
  CudaStream stream_;
  CudaStream reads_;  // for ReadHeld, which any thread calls
  std::unique_ptr<CudaBlas> blas_;

  CudaBuffer weights_;                 // C×D, in the stored type
  std::array<CudaBuffer, 2> moments_;  // C×D, in the stored type
  CudaBuffer counts_;                  // C uint32_t; AdamW only
  CudaBuffer inverse_norms_;           // C float
  CudaBuffer kept_;                    // the exponentials' budget
  int64_t kept_used_ = 0;              // bytes
  std::vector<StepGroup> groups_;      // of the step's pass 1

  CudaActiveRows active_;          // where the step is sampled
  std::vector<int64_t> observed_;  // the rows of a sampled step's block, for the observer
  CudaBatch batch_;                // of the pass
  CudaBuffer positions_;           // of the batch's targets
  CudaBuffer block_w_;             // block_rows×D, compute type
  CudaBuffer block_norms_;         // block_rows float: the inverse norms of block_w_
  CudaBuffer s_;                   // block_rows×stride float
  CudaBuffer q_;                   // block_rows×stride bfloat16
  CudaBuffer tile_sums_;           // tiles×stride float
  CudaBuffer h_;                   // block_rows×D float
  CudaBuffer sums_;                // slots double
  CudaBuffer outputs_;             // z, U, own centers; float
  PinnedBuffer host_outputs_;      // the same on the host
};

}  // namespace arcshard::head
