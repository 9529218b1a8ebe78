#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "shard_server/head/cuda/cuda_active_rows.h"
#include "shard_server/head/cuda/cuda_batch.h"
#include "shard_server/head/cuda/cuda_blas.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_memory.h"
#include "shard_server/head/cuda/cuda_stream.h"
#include "shard_server/head/head.h"

namespace arcshard::head {

// The head on a GPU. The same passes over blocks of classes as CpuHead's: products by cuBLAS, kernels between them, all
// on one stream. A pass copies its inputs over from page-locked memory, queues everything, copies its results back and
// waits once, at its end. S lies in the device's cache where a block's W, S and H fit it; no matrix of B×N exists.
//
// An error of the device in the middle of an update leaves weights of which some have taken the step: the head can't be
// used any more.
class CudaHead final : public Head {
 public:
  // `options` were checked. Errors as CreateGpuHead's.
  static absl::StatusOr<std::unique_ptr<CudaHead>> Create(const HeadOptions& options);

  const HeadOptions& options() const override { return options_; }
  absl::Status Begin(uint64_t step, absl::Span<const int64_t> labels) override;
  absl::Status Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) override;
  absl::Status Update(absl::Span<const Group> groups, float lr) override;
  void Discard() override;
  absl::Status ReadWeights(ClassRange range, MatrixView<float> out) const override;
  absl::Status ReadMoment(int moment, ClassRange range, MatrixView<float> out) const override;
  absl::Status WriteWeights(ClassRange range, MatrixView<const float> rows) override;
  absl::Status WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) override;
  absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const override;
  absl::Status WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) override;
  absl::Status ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const override;
  void Observe(UpdateObserver* observer) override { observer_ = observer; }

  // Rows of a block: a function of the dimension alone, so that every pass cuts the same blocks. 4096 at D = 512.
  static int64_t RowsOfBlock(int64_t dim);

 private:
  // A Forward of the step in hand, and the blocks of its Q that are kept: the first ones, as many as the budget holds.
  struct StepGroup {
    int64_t samples = 0;
    int64_t kept_blocks = 0;
    int64_t offset = 0;  // bytes, in kept_
    int64_t bytes_per_block = 0;
  };
  // A group's place in the batch of the pass.
  struct GroupSlots {
    int64_t first = 0;
    int64_t samples = 0;
    int64_t stride() const { return CudaBatch::StrideOf(samples); }
  };

  explicit CudaHead(const HeadOptions& options);
  absl::Status CheckFreeMemory() const;
  absl::Status Allocate();
  absl::Status FillWeights();
  absl::Status UseDevice() const;

  bool sampled() const { return options_.sample_rate < 1.0; }
  ActiveRows rows() const { return sampled() ? active_.rows() : ActiveRows{}; }
  int64_t positions() const { return sampled() ? active_.size() : options_.range.size(); }
  int64_t blocks() const { return (positions() + block_rows_ - 1) / block_rows_; }
  PositionRange Block(int64_t block) const;

  absl::Status ReserveScratch(int64_t samples);
  // Positions of targets and of own classes instead of rows, where the step is sampled.
  absl::Status FindTargets();
  // The block's weights in the compute type: where they lie, or gathered.
  absl::StatusOr<ConstValues> BlockWeights(const PositionRange& block);
  absl::Status ComputeExponentials(const PositionRange& block, const GroupSlots& group, ConstValues w, Values q);
  Values ScratchQ() const;
  Values Slot(const StepGroup& group, int64_t block) const;  // null: not kept
  StepGroup MakeStepGroup(int64_t samples) const;

  absl::Status CheckLabels(absl::Span<const ForwardInput> group) const;
  absl::Status ForwardBlocks(const GroupSlots& group, const StepGroup& kept, float* u);
  void HandOut(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) const;
  absl::Status CheckUpdate(absl::Span<const Group> groups, float lr) const;
  // Tells the observer of the block, once nothing changes it any more.
  absl::Status TellObserver(const PositionRange& block);
  absl::Status UpdateBlock(int64_t index, absl::Span<const GroupSlots> groups, float lr);

  absl::Status ReadRows(const DeviceMemory& memory, DataType type, ClassRange range, MatrixView<float> out) const;
  absl::Status WriteRows(const DeviceMemory& memory, DataType type, ClassRange range, MatrixView<const float> rows);
  int64_t RowOf(ClassRange range) const { return range.begin - options_.range.begin; }

  const HeadOptions options_;
  const NegativeExponential exponential_;
  const int64_t block_rows_;
  uint64_t step_ = 0;  // in hand; 0: none
  UpdateObserver* observer_ = nullptr;
  CudaStream stream_;
  CudaStream reads_;  // ReadHeld's, whoever calls it
  std::unique_ptr<CudaBlas> blas_;

  DeviceMemory weights_;                 // C×D, as held
  std::array<DeviceMemory, 2> moments_;  // C×D, as held
  DeviceMemory counts_;                  // C; AdamW's
  DeviceMemory inverse_norms_;           // C
  DeviceMemory kept_;                    // the exponentials' budget
  int64_t kept_used_ = 0;                // bytes
  std::vector<StepGroup> groups_;        // of the step in hand

  CudaActiveRows active_;          // of the step in hand, where it is sampled
  std::vector<int64_t> observed_;  // the rows of a sampled step's block, for the observer
  CudaBatch batch_;                // of the pass
  DeviceMemory positions_;         // of its targets
  DeviceMemory block_w_;           // block_rows×D, compute type
  DeviceMemory s_;                 // block_rows×stride float
  DeviceMemory q_;                 // block_rows×stride bfloat16
  DeviceMemory tile_sums_;         // tiles×stride float
  DeviceMemory h_;                 // block_rows×D float
  DeviceMemory sums_;              // slots double
  DeviceMemory outputs_;           // z, U, own centers, float
  PinnedMemory host_outputs_;
};

}  // namespace arcshard::head
