#include "shard_server/head/cuda/cuda_head.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/gpu.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

// --- construction

CudaHead::CudaHead(const HeadOptions& options, int64_t block_rows)
    : CheckedHead(options),
      exponential_(options.scale, options.num_classes, options.filter),
      block_rows_(std::min(block_rows, std::max<int64_t>(options.range.size(), 1))) {}

int64_t CudaHead::RowsOfBlock(int64_t dim) {
  // At D = 512 and B = 1024, W, S and H of a block take 8, 16 and 8 MiB; the L2 cache of an A100 or H100 has 40 or 50
  // MB. A product of this size is large enough to fill the device.
  return std::clamp<int64_t>((int64_t{1} << 21) / dim / 128 * 128, 128, 8192);
}

absl::StatusOr<std::unique_ptr<CudaHead>> CudaHead::Create(const HeadOptions& options, int64_t block_rows) {
  RETURN_IF_ERROR(CheckGpu(options.device_index));
  std::unique_ptr<CudaHead> head(new CudaHead(options, block_rows));
  RETURN_IF_ERROR(head->UseDevice());
  RETURN_IF_ERROR(head->CheckFreeMemory());
  ASSIGN_OR_RETURN(head->stream_, CudaStream::Create());
  ASSIGN_OR_RETURN(head->reads_, CudaStream::Create());
  ASSIGN_OR_RETURN(head->blas_, CudaBlas::Create(head->stream_.get()));
  RETURN_IF_ERROR(head->Allocate());
  RETURN_IF_ERROR(head->FillWeights());
  return head;
}

absl::Status CudaHead::CheckFreeMemory() const {
  const int64_t needed =
      Head::RequiredBytes(options()) + CudaBlas::kWorkspaceBytes + 2 * block_rows_ * options().dim * kFloat;
  ASSIGN_OR_RETURN(const int64_t free, FreeGpuBytes(options().device_index));
  if (needed <= free) return absl::OkStatus();
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  return absl::ResourceExhaustedError(
      absl::StrFormat("the range [%d, %d) with %d dimensions needs %.3f GiB on cuda:%d, of which %.3f GiB are free",
                      options().range.begin, options().range.end, options().dim, static_cast<double>(needed) / kGiB,
                      options().device_index, static_cast<double>(free) / kGiB));
}

absl::Status CudaHead::Allocate() {
  const int64_t classes = options().range.size();
  const int64_t values = classes * options().dim;
  const int64_t block_values = block_rows_ * options().dim;
  RETURN_IF_ERROR(weights_.Reserve(values * BytesOf(options().weights), "class centers"));
  for (int i = 0; i < options().num_moments(); ++i) {
    RETURN_IF_ERROR(moments_[i].Reserve(values * BytesOf(options().moments), "moments"));
  }
  if (options().num_moments() == 2) {
    RETURN_IF_ERROR(counts_.Reserve(classes * static_cast<int64_t>(sizeof(uint32_t)), "step counts"));
  }
  RETURN_IF_ERROR(inverse_norms_.Reserve(classes * kFloat, "inverse norms"));
  RETURN_IF_ERROR(kept_.Reserve(options().exp_budget_bytes, "kept exponentials (the exponentials' budget)"));
  RETURN_IF_ERROR(h_.Reserve(block_values * kFloat, "a block's gradient"));
  if (!sampled() && options().weights == options().compute) return absl::OkStatus();
  RETURN_IF_ERROR(block_norms_.Reserve(block_rows_ * kFloat, "a block's inverse norms"));
  return block_w_.Reserve(block_values * BytesOf(options().compute), "a block's class centers");
}

absl::Status CudaHead::FillWeights() {
  const int64_t classes = options().range.size();
  if (options().first_weights) {
    RETURN_IF_ERROR(CUDA_STATUS(FillFirstWeights(options().seed, options().range.begin, classes, options().dim,
                                                 {weights_.data(), options().weights}, stream_.get())));
  } else {
    RETURN_IF_ERROR(stream_.Zero(weights_.data(), weights_.bytes()));
  }
  for (const CudaBuffer& moment : moments_) RETURN_IF_ERROR(stream_.Zero(moment.data(), moment.bytes()));
  RETURN_IF_ERROR(stream_.Zero(counts_.data(), counts_.bytes()));
  RETURN_IF_ERROR(CUDA_STATUS(InverseNormsOfRows(classes, options().dim, {weights_.data(), options().weights},
                                                 inverse_norms_.as<float>(), stream_.get())));
  return stream_.Synchronize();
}

// The current device is a setting of each thread, and several threads may call the head, one at a time.
absl::Status CudaHead::UseDevice() const { return CUDA_STATUS(cudaSetDevice(options().device_index)); }

// --- a step

absl::Status CudaHead::DoBegin(uint64_t step, const LabelSet& labels) {
  if (!sampled()) return absl::OkStatus();
  RETURN_IF_ERROR(UseDevice());
  return active_.Find(options(), step, labels, stream_);
}

void CudaHead::DoDiscard() {
  groups_.clear();
  kept_used_ = 0;
}

PositionRange CudaHead::Block(int64_t block) const {
  const int64_t begin = block * block_rows_;
  return {begin, std::min(block_rows_, positions() - begin)};
}

absl::Status CudaHead::ReserveScratch(int64_t samples) {
  const int64_t stride = CudaBatch::StrideOf(samples);
  const int64_t block = block_rows_ * stride;
  RETURN_IF_ERROR(s_.Reserve(block * kFloat, "a block's logits"));
  if (options().compute == DataType::kBfloat16) {
    RETURN_IF_ERROR(q_.Reserve(block * BytesOf(options().compute), "a block's exponentials"));
  }
  return tile_sums_.Reserve(TilesOf(block_rows_) * stride * kFloat, "a block's sums");
}

absl::Status CudaHead::FindTargets() {
  if (!sampled()) return absl::OkStatus();
  RETURN_IF_ERROR(positions_.Reserve(batch_.targets() * static_cast<int64_t>(sizeof(int64_t)), "targets' positions"));
  const int64_t* const list = active_.rows().list;
  RETURN_IF_ERROR(CUDA_STATUS(PositionsOf(active_.size(), list, batch_.targets(), batch_.target_rows(),
                                          positions_.as<int64_t>(), stream_.get())));
  return CUDA_STATUS(PositionsOf(active_.size(), list, batch_.slots(), batch_.own(), batch_.own(), stream_.get()));
}

// Where float32 centers are rounded for the product, the norms are those of the rounded rows. S/|w| is then the cosine
// between unit vectors, and the rounding error along the center, which dominates near a cosine of 1, cancels.
absl::StatusOr<CudaHead::BlockCenters> CudaHead::CentersOf(const PositionRange& block) {
  const ConstValues weights = {weights_.data(), options().weights};
  if (!sampled() && options().weights == options().compute) {
    const int64_t offset = block.begin * options().dim * BytesOf(options().weights);
    return BlockCenters{{weights_.as<std::byte>() + offset, options().weights},
                        inverse_norms_.as<float>() + block.begin};
  }
  GatherArguments arguments;
  arguments.active = rows();
  arguments.range = block;
  arguments.dim = options().dim;
  arguments.w = weights;
  arguments.out = {block_w_.data(), options().compute};
  arguments.inverse_norms = block_norms_.as<float>();
  RETURN_IF_ERROR(CUDA_STATUS(GatherRows(arguments, stream_.get())));
  return BlockCenters{{block_w_.data(), options().compute}, block_norms_.as<float>()};
}

absl::Status CudaHead::ComputeExponentials(const PositionRange& block, const GroupSlots& group,
                                           const BlockCenters& centers, Values q) {
  RETURN_IF_ERROR(
      blas_->ProductOfCosines(ShapeOf(block, group), centers.w, batch_.UnitFactor(group.first), s_.as<float>()));
  ExponentialsArguments arguments;
  arguments.range = block;
  arguments.samples = group.samples;
  arguments.stride = group.stride();
  arguments.inverse_norms = centers.inverse_norms;
  arguments.own = batch_.own() + group.first;
  arguments.s = s_.as<float>();
  arguments.q = q;
  arguments.tile_sums = tile_sums_.as<float>();
  return CUDA_STATUS(Exponentials(exponential_, arguments, stream_.get()));
}

Values CudaHead::ScratchQ() const {
  return {options().compute == DataType::kFloat32 ? s_.data() : q_.data(), options().compute};
}

CudaHead::StepGroup CudaHead::MakeStepGroup(int64_t samples) const {
  const int64_t bytes_per_row = CudaBatch::StrideOf(samples) * BytesOf(options().compute);
  StepGroup group = {samples, 0, kept_used_, RoundedUp(block_rows_ * bytes_per_row, 256), 0};
  if (samples == 0) return group;
  const int64_t left = options().exp_budget_bytes - kept_used_;
  // The last block may have fewer rows.
  const int64_t whole = std::max<int64_t>(blocks() - 1, 0) * group.bytes_per_block +
                        RoundedUp(Block(std::max<int64_t>(blocks() - 1, 0)).size, 16) * bytes_per_row;
  group.kept_blocks = whole <= left ? blocks() : std::min(blocks(), left / group.bytes_per_block);
  group.kept_bytes = std::min(whole, group.kept_blocks * group.bytes_per_block);
  return group;
}

Values CudaHead::Slot(const StepGroup& group, int64_t block) const {
  if (block >= group.kept_blocks) return {nullptr, options().compute};
  return {kept_.as<std::byte>() + group.offset + block * group.bytes_per_block, options().compute};
}

}  // namespace arcshard::head
