#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/block_ops.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/class_store.h"
#include "shard_server/head/cpu/kept_exponentials.h"
#include "shard_server/head/cpu/prepared_group.h"
#include "shard_server/head/cpu/update_block.h"
#include "shard_server/head/cpu/worker_pool.h"
#include "shard_server/head/head.h"
#include "shard_server/head/step_plan.h"

namespace arcshard::head {

// The head on the CPU; T is the compute type, float or Bfloat16. Per block of n classes that take part and group of B
// samples, where Ê and ŵ are unit vectors:
//
//   pass 1   S = W·Ê^T (n×B)     Q = exp(s·S/|w| - a)/|w|, 0 at own classes     z += sum of Q·|w|     U += Q^T·W
//   pass 2   H = Q·(r·Ê) + t·ê/|w| at own classes, which is (dL/dŵ)/|w|;   then the optimizer's step in place
//
// W, Ê, Q and r·Ê are T in the products; S, U, H and t·ê/|w| are float32. Row scales are folded into the exponential
// and into Q, and r into Ê, so Ŵ is never formed. Each thread walks its own blocks with its own U and z; they are added
// up in the order of threads. Rows of a sampled step are gathered block by block, once in each pass.
template <typename T>
class CpuHead final : public Head {
 public:
  // `options` were checked. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<CpuHead>> Create(const HeadOptions& options);

  const HeadOptions& options() const override { return store_.options(); }
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

 private:
  // What a thread has for itself, of a block but for u and z.
  struct Worker {
    Buffer<float> s;              // rows×stride, where Q is not float32
    Buffer<T> q;                  // rows×stride, where it is not kept
    Buffer<T> q_transposed;       // stride×rows
    Buffer<T> centers;            // rows×depth, where they are not used as they lie
    Buffer<T> paired_centers;     // rows×D, in bfloat16
    Buffer<float> inverse_norms;  // rows, where they are not used as they lie
    Buffer<float> h;              // rows×D
    Buffer<uint32_t> randoms;     // of a row
    Buffer<float> block_z;        // B
    Buffer<float> u;              // stride×D
    Buffer<double> z;             // B
  };

  // Where the results of one sample of the group go.
  struct OutputRow {
    float* z;
    float* u;
    float* own_center;
  };

  explicit CpuHead(const HeadOptions& options);
  absl::Status Allocate();
  absl::Status ReserveWorkers(int64_t samples, bool pass_1);
  absl::Status CheckLabels(absl::Span<const ForwardInput> group) const;
  absl::Status CheckUpdate(absl::Span<const Group> groups, float lr) const;

  absl::Span<const float> InverseNorms(const BlockRows& rows, const T* centers, Worker& worker) const;
  // Q of a block into `q`, from its centers and the group's unit embeddings; worker.block_z gets the block's z.
  void ComputeExponentials(const Block& block, const T* centers, const PreparedGroup<T>& group, Worker& worker,
                           T* q) const;
  // The block's centers as a right factor.
  const T* Paired(const T* centers, int64_t rows, Worker& worker) const;
  void ForwardBlocks(int thread);
  void AddUpOutputs(int thread);
  void UpdateBlocks(int thread, absl::Span<const PreparedGroup<T>> groups, const UpdateStep& update);
  void AddOwnClasses(const Block& block, const PreparedGroup<T>& group, float* h) const;

  ClassStore store_;
  UpdateObserver* observer_ = nullptr;
  uint64_t step_ = 0;  // in hand; 0: none
  const NegativeExponential exponential_;
  StepPlan plan_;
  WorkerPool pool_;
  KeptExponentials kept_;        // and how many samples each group since the last Update had
  std::vector<Worker> workers_;  // one for each thread
  PreparedGroup<T> forward_;
  std::vector<OutputRow> outputs_;        // of forward_'s samples
  std::vector<PreparedGroup<T>> update_;  // grows to the most groups of a step
};

extern template class CpuHead<float>;
extern template class CpuHead<Bfloat16>;

}  // namespace arcshard::head
