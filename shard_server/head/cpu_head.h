#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "shard_server/head/block_ops.h"
#include "shard_server/head/block_plan.h"
#include "shard_server/head/buffer.h"
#include "shard_server/head/head.h"
#include "shard_server/head/kept_exponentials.h"
#include "shard_server/head/prepared_group.h"
#include "shard_server/head/worker_pool.h"

namespace arcshard::head {

// The head on the CPU in float32. Per block of n classes and group of B samples, where Ê and ŵ are unit vectors:
//
//   pass 1   S = W·Ê^T (n×B)     Q = exp(s·S/|w| - a)/|w|, 0 at own classes     z += sum of Q·|w|     U += Q^T·W
//   pass 2   H = Q·(r·Ê) + t·ê/|w| at own classes, which is (dL/dŵ)/|w|;   then SGD in place on W and V
//
// Row scales are folded into the exponential and into Q, and r into Ê, so Ŵ is never formed. Each thread walks its own
// blocks with its own U and z; they are added up in the order of threads.
class CpuHead final : public Head {
 public:
  // `options` were checked. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<CpuHead>> Create(const HeadOptions& options);

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

 private:
  // What a thread has for itself. Pass 2 uses s and h, pass 1 the rest and s.
  struct Worker {
    Buffer<float> s;        // max_rows×stride
    Buffer<float> h;        // max_rows×D
    Buffer<float> u;        // B×D
    Buffer<float> block_z;  // B: of one block
    Buffer<double> z;       // B
  };

  // Where the results of one sample of the group go.
  struct OutputRow {
    float* z;
    float* u;
    float* own_center;
  };

  explicit CpuHead(const HeadOptions& options);
  absl::Status Allocate();
  void FillWeights();

  absl::Status CheckUpdate(absl::Span<const Group> groups, float lr) const;
  absl::Status ReserveWorkers(int64_t samples, bool pass_1);

  // Q of a block into `q`, from W and the group's unit embeddings; worker.block_z gets the block's z.
  void ComputeExponentials(const Block& block, const PreparedGroup& group, Worker& worker, float* q) const;
  void ForwardBlocks(int thread);
  void AddUpOutputs(int thread);
  void UpdateBlocks(int thread, int64_t groups, const SgdStep& step);

  float* weights(int64_t row) const { return weights_.data() + row * options_.dim; }
  float* momentum(int64_t row) const { return momentum_.data() + row * options_.dim; }
  absl::Span<float> inverse_norms(const Block& block) const {
    return absl::MakeSpan(inverse_norms_.data() + block.begin, static_cast<size_t>(block.rows));
  }

  const HeadOptions options_;
  uint64_t step_ = 0;  // in hand; 0: none
  const NegativeExponential exponential_;
  const BlockPlan plan_;
  WorkerPool pool_;
  Buffer<float> weights_;        // C×D
  Buffer<float> momentum_;       // C×D
  Buffer<float> inverse_norms_;  // C
  KeptExponentials kept_;        // and how many samples each group since the last Update had
  std::vector<Worker> workers_;  // one for each thread
  PreparedGroup forward_;
  std::vector<OutputRow> outputs_;     // of forward_'s samples
  std::vector<PreparedGroup> update_;  // grows to the most groups of a step
};

}  // namespace arcshard::head
