#include "shard_server/head/cuda/cuda_head.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cpu/row_store.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/gpu.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {
namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kFloatsOfBoundary = 64;  // 256 bytes

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Where z, U and the own centers of a pass lie in its outputs, in floats.
struct OutputLayout {
  int64_t u = 0;
  int64_t own_centers = 0;
  int64_t size = 0;

  OutputLayout(int64_t slots, int64_t targets, int64_t dim)
      : u(RoundUp(slots, kFloatsOfBoundary)),
        own_centers(RoundUp(u + slots * dim, kFloatsOfBoundary)),
        size(own_centers + targets * dim) {}
};

}  // namespace

// --- construction

CudaHead::CudaHead(const HeadOptions& options)
    : options_(options),
      exponential_(options.scale, options.num_classes, options.filter),
      block_rows_(std::min(RowsOfBlock(options.dim), std::max<int64_t>(options.range.size(), 1))) {}

int64_t CudaHead::RowsOfBlock(int64_t dim) {
  // At D = 512 and B = 1024 W, S and H of a block take 8, 16 and 8 MiB of the 40 or 50 MB of L2 that an A100 or H100
  // has, and a product is large enough to fill the device.
  return std::clamp<int64_t>((int64_t{1} << 21) / dim / 128 * 128, 128, 8192);
}

absl::StatusOr<std::unique_ptr<CudaHead>> CudaHead::Create(const HeadOptions& options) {
  RETURN_IF_ERROR(CheckGpu(options.device_index));
  std::unique_ptr<CudaHead> head(new CudaHead(options));
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
      Head::RequiredBytes(options_) + CudaBlas::kWorkspaceBytes + 2 * block_rows_ * options_.dim * kFloat;
  ASSIGN_OR_RETURN(const int64_t free, FreeGpuBytes(options_.device_index));
  if (needed <= free) return absl::OkStatus();
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  return absl::ResourceExhaustedError(
      absl::StrFormat("the range [%d, %d) with %d dimensions needs %.3f GiB on cuda:%d, of which %.3f GiB are free",
                      options_.range.begin, options_.range.end, options_.dim, static_cast<double>(needed) / kGiB,
                      options_.device_index, static_cast<double>(free) / kGiB));
}

absl::Status CudaHead::Allocate() {
  const int64_t classes = options_.range.size();
  const int64_t values = classes * options_.dim;
  const int64_t block_values = block_rows_ * options_.dim;
  RETURN_IF_ERROR(weights_.Reserve(values * BytesOf(options_.weights), "class centers"));
  for (int i = 0; i < options_.num_moments(); ++i) {
    RETURN_IF_ERROR(moments_[i].Reserve(values * BytesOf(options_.moments), "moments"));
  }
  if (options_.num_moments() == 2) {
    RETURN_IF_ERROR(counts_.Reserve(classes * static_cast<int64_t>(sizeof(uint32_t)), "step counts"));
  }
  RETURN_IF_ERROR(inverse_norms_.Reserve(classes * kFloat, "inverse norms"));
  RETURN_IF_ERROR(kept_.Reserve(options_.exp_budget_bytes, "kept exponentials (the exponentials' budget)"));
  RETURN_IF_ERROR(h_.Reserve(block_values * kFloat, "a block's gradient"));
  if (!sampled() && options_.weights == options_.compute) return absl::OkStatus();
  return block_w_.Reserve(block_values * BytesOf(options_.compute), "a block's class centers");
}

absl::Status CudaHead::FillWeights() {
  const int64_t classes = options_.range.size();
  RETURN_IF_ERROR(CUDA_STATUS(FillFirstWeights(options_.seed, options_.range.begin, classes, options_.dim,
                                               {weights_.data(), options_.weights}, stream_.get())));
  for (const DeviceMemory& moment : moments_) RETURN_IF_ERROR(stream_.Zero(moment.data(), moment.bytes()));
  RETURN_IF_ERROR(stream_.Zero(counts_.data(), counts_.bytes()));
  RETURN_IF_ERROR(CUDA_STATUS(InverseNormsOfRows(classes, options_.dim, {weights_.data(), options_.weights},
                                                 inverse_norms_.as<float>(), stream_.get())));
  return stream_.Synchronize();
}

// Which device a thread uses is its own setting, and a head's calls come from several threads, one at a time.
absl::Status CudaHead::UseDevice() const { return CUDA_STATUS(cudaSetDevice(options_.device_index)); }

// --- a step

absl::Status CudaHead::Begin(uint64_t step, absl::Span<const int64_t> labels) {
  if (step_ != 0) return absl::FailedPreconditionError(absl::StrCat("step ", step_, " is in hand"));
  RETURN_IF_ERROR(CheckBegin(options_, step, labels));
  if (sampled()) {
    RETURN_IF_ERROR(UseDevice());
    RETURN_IF_ERROR(active_.Find(options_, step, labels, stream_));
  }
  step_ = step;
  return absl::OkStatus();
}

void CudaHead::Discard() {
  groups_.clear();
  kept_used_ = 0;
  step_ = 0;
}

PositionRange CudaHead::Block(int64_t block) const {
  const int64_t begin = block * block_rows_;
  return {begin, std::min(block_rows_, positions() - begin)};
}

absl::Status CudaHead::ReserveScratch(int64_t samples) {
  const int64_t stride = CudaBatch::StrideOf(samples);
  const int64_t block = block_rows_ * stride;
  RETURN_IF_ERROR(s_.Reserve(block * kFloat, "a block's logits"));
  if (options_.compute == DataType::kBfloat16) {
    RETURN_IF_ERROR(q_.Reserve(block * BytesOf(options_.compute), "a block's exponentials"));
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

absl::StatusOr<ConstValues> CudaHead::BlockWeights(const PositionRange& block) {
  const ConstValues weights = {weights_.data(), options_.weights};
  if (!sampled() && options_.weights == options_.compute) {
    const int64_t offset = block.begin * options_.dim * BytesOf(options_.weights);
    return ConstValues{weights_.as<std::byte>() + offset, options_.weights};
  }
  RETURN_IF_ERROR(CUDA_STATUS(
      GatherRows(rows(), block, options_.dim, weights, {block_w_.data(), options_.compute}, stream_.get())));
  return ConstValues{block_w_.data(), options_.compute};
}

absl::Status CudaHead::ComputeExponentials(const PositionRange& block, const GroupSlots& group, ConstValues w,
                                           Values q) {
  RETURN_IF_ERROR(blas_->ProductOfCosines(block.size, group.samples, options_.dim, w, batch_.UnitFactor(group.first),
                                          s_.as<float>(), group.stride()));
  ExponentialsArguments arguments;
  arguments.active = rows();
  arguments.range = block;
  arguments.samples = group.samples;
  arguments.stride = group.stride();
  arguments.inverse_norms = inverse_norms_.as<float>();
  arguments.own = batch_.own() + group.first;
  arguments.s = s_.as<float>();
  arguments.q = q;
  arguments.tile_sums = tile_sums_.as<float>();
  return CUDA_STATUS(Exponentials(exponential_, arguments, stream_.get()));
}

Values CudaHead::ScratchQ() const {
  return {options_.compute == DataType::kFloat32 ? s_.data() : q_.data(), options_.compute};
}

CudaHead::StepGroup CudaHead::MakeStepGroup(int64_t samples) const {
  StepGroup group = {samples, 0, kept_used_,
                     RoundUp(block_rows_ * CudaBatch::StrideOf(samples) * BytesOf(options_.compute), 256)};
  if (samples > 0)
    group.kept_blocks = std::min(blocks(), (options_.exp_budget_bytes - kept_used_) / group.bytes_per_block);
  return group;
}

Values CudaHead::Slot(const StepGroup& group, int64_t block) const {
  if (block >= group.kept_blocks) return {nullptr, options_.compute};
  return {kept_.as<std::byte>() + group.offset + block * group.bytes_per_block, options_.compute};
}

// --- pass 1

absl::Status CudaHead::CheckLabels(absl::Span<const ForwardInput> group) const {
  if (!sampled()) return absl::OkStatus();
  for (size_t m = 0; m < group.size(); ++m) {
    for (const int64_t label : group[m].labels) {
      if (active_.Unannounced(label)) return UnannouncedLabel(step_, m, label);
    }
  }
  return absl::OkStatus();
}

absl::Status CudaHead::Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  RETURN_IF_ERROR(CheckForward(options_, group, outputs));
  RETURN_IF_ERROR(CheckLabels(group));
  RETURN_IF_ERROR(UseDevice());
  const int64_t samples = SamplesOf(group);
  const int64_t dim = options_.dim;
  if (samples > 0) {
    RETURN_IF_ERROR(batch_.Start({samples}, dim, /*gradient=*/false));
    RETURN_IF_ERROR(ReserveScratch(samples));
    batch_.StartGroup();
    for (const ForwardInput& input : group) batch_.Append(input, options_.range);
    RETURN_IF_ERROR(batch_.Finish(options_.compute, stream_));
    RETURN_IF_ERROR(FindTargets());

    const OutputLayout layout(batch_.slots(), batch_.targets(), dim);
    RETURN_IF_ERROR(outputs_.Reserve(layout.size * kFloat, "a pass's outputs"));
    RETURN_IF_ERROR(host_outputs_.Reserve(layout.size * kFloat, "a pass's outputs on the host"));
    RETURN_IF_ERROR(sums_.Reserve(batch_.slots() * static_cast<int64_t>(sizeof(double)), "sums over negatives"));
    float* const z = outputs_.as<float>();
    RETURN_IF_ERROR(stream_.Zero(z + layout.u, batch_.slots() * dim * kFloat));
    RETURN_IF_ERROR(stream_.Zero(sums_.data(), batch_.slots() * static_cast<int64_t>(sizeof(double))));
    const StepGroup kept = MakeStepGroup(samples);
    RETURN_IF_ERROR(ForwardBlocks({0, samples}, kept, z + layout.u));
    RETURN_IF_ERROR(CUDA_STATUS(NarrowSums(samples, sums_.as<double>(), z, stream_.get())));
    RETURN_IF_ERROR(
        CUDA_STATUS(OwnCenters(batch_.targets(), dim, batch_.target_rows(), {weights_.data(), options_.weights},
                               inverse_norms_.as<float>(), z + layout.own_centers, stream_.get())));
    RETURN_IF_ERROR(stream_.Copy(host_outputs_.data(), outputs_.data(), layout.size * kFloat));
    RETURN_IF_ERROR(stream_.Synchronize());
    HandOut(group, outputs);
  }
  groups_.push_back(MakeStepGroup(samples));
  kept_used_ += groups_.back().kept_blocks * groups_.back().bytes_per_block;
  return absl::OkStatus();
}

absl::Status CudaHead::ForwardBlocks(const GroupSlots& group, const StepGroup& kept, float* u) {
  for (int64_t index = 0; index < blocks(); ++index) {
    const PositionRange block = Block(index);
    ASSIGN_OR_RETURN(const ConstValues w, BlockWeights(block));
    const Values slot = Slot(kept, index);
    const Values q = slot.data != nullptr ? slot : ScratchQ();
    RETURN_IF_ERROR(ComputeExponentials(block, group, w, q));
    RETURN_IF_ERROR(CUDA_STATUS(AddTileSums(TilesOf(block.size), group.samples, group.stride(), tile_sums_.as<float>(),
                                            sums_.as<double>(), stream_.get())));
    RETURN_IF_ERROR(
        blas_->AddWeightedCenters(block.size, group.samples, options_.dim, {q.data, q.type}, group.stride(), w, u));
  }
  return absl::OkStatus();
}

void CudaHead::HandOut(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) const {
  const int64_t dim = options_.dim;
  const OutputLayout layout(batch_.slots(), batch_.targets(), dim);
  const float* const z = reinterpret_cast<const float*>(host_outputs_.data());
  std::vector<float*> own_centers;  // of each sample
  int64_t first = 0;
  for (size_t m = 0; m < group.size(); ++m) {
    const int64_t rows = group[m].embedding.rows;
    std::copy_n(z + first, rows, outputs[m].z.data());
    std::copy_n(z + layout.u + first * dim, rows * dim, outputs[m].u.data);
    for (int64_t i = 0; i < rows; ++i) own_centers.push_back(outputs[m].own_centers.row(i));
    first += rows;
  }
  for (int64_t k = 0; k < batch_.targets(); ++k) {
    std::copy_n(z + layout.own_centers + k * dim, dim, own_centers[static_cast<size_t>(batch_.target_slot(k))]);
  }
}

// --- pass 2

absl::Status CudaHead::CheckUpdate(absl::Span<const Group> groups, float lr) const {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  if (!std::isfinite(lr)) return absl::InvalidArgumentError(absl::StrCat("the learning rate is ", lr));
  if (groups.size() != groups_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the update has ", groups.size(), " groups, but Forward took ",
                                                   groups_.size(), " since the last update"));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    absl::Status status = CheckUpdateGroup(options_, groups[g]);
    for (const UpdateInput& input : groups[g]) status.Update(CheckLabels({&input.forward, 1}));
    RETURN_IF_ERROR(Annotate(status, absl::StrCat("group ", g)));
    if (const int64_t samples = SamplesOf(groups[g]); samples != groups_[g].samples) {
      return absl::InvalidArgumentError(absl::StrCat("group ", g, " of the update has ", samples,
                                                     " samples, but Forward took ", groups_[g].samples, " with it"));
    }
  }
  return absl::OkStatus();
}

absl::Status CudaHead::Update(absl::Span<const Group> groups, float lr) {
  RETURN_IF_ERROR(CheckUpdate(groups, lr));
  RETURN_IF_ERROR(UseDevice());
  std::vector<int64_t> samples;
  std::vector<GroupSlots> slots;
  int64_t first = 0;
  for (const StepGroup& group : groups_) {
    samples.push_back(group.samples);
    slots.push_back({first, group.samples});
    first += slots.back().stride();
    RETURN_IF_ERROR(ReserveScratch(group.samples));
  }
  RETURN_IF_ERROR(batch_.Start(samples, options_.dim, /*gradient=*/true));
  for (const Group& group : groups) {
    batch_.StartGroup();
    for (const UpdateInput& input : group) {
      batch_.Append(input.forward, options_.range);
      batch_.AppendGradient(input.r, input.t);
    }
  }
  RETURN_IF_ERROR(batch_.Finish(options_.compute, stream_));
  RETURN_IF_ERROR(FindTargets());
  for (int64_t index = 0; index < blocks(); ++index) {
    if (observer_ != nullptr) RETURN_IF_ERROR(TellObserver(Block(index)));
    RETURN_IF_ERROR(UpdateBlock(index, slots, lr));
  }
  RETURN_IF_ERROR(stream_.Synchronize());
  Discard();
  return absl::OkStatus();
}

absl::Status CudaHead::TellObserver(const PositionRange& block) {
  BlockRows rows = {block.begin, block.size};
  if (sampled()) {
    observed_.resize(static_cast<size_t>(block.size));
    RETURN_IF_ERROR(stream_.Copy(observed_.data(), active_.rows().list + block.begin,
                                 block.size * static_cast<int64_t>(sizeof(int64_t))));
    RETURN_IF_ERROR(stream_.Synchronize());
    rows.list = observed_.data();
  }
  observer_->BeforeUpdate(rows);
  return absl::OkStatus();
}

absl::Status CudaHead::UpdateBlock(int64_t index, absl::Span<const GroupSlots> groups, float lr) {
  const PositionRange block = Block(index);
  const int64_t dim = options_.dim;
  float* const h = h_.as<float>();
  ConstValues w;  // gathered for the first group that needs it
  bool accumulate = false;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].samples == 0) continue;
    Values q = Slot(groups_[g], index);
    if (q.data == nullptr) {
      q = ScratchQ();
      if (w.data == nullptr) {
        ASSIGN_OR_RETURN(w, BlockWeights(block));
      }
      RETURN_IF_ERROR(ComputeExponentials(block, groups[g], w, q));
    }
    RETURN_IF_ERROR(blas_->ProductOfGradient(block.size, groups[g].samples, dim, {q.data, q.type}, groups[g].stride(),
                                             batch_.UnitTimesR(groups[g].first), accumulate, h));
    accumulate = true;
  }
  if (!accumulate) RETURN_IF_ERROR(stream_.Zero(h, block.size * dim * kFloat));

  TargetsArguments targets;
  targets.active = rows();
  targets.range = block;
  targets.targets = batch_.targets();
  targets.dim = dim;
  targets.positions = sampled() ? positions_.as<int64_t>() : batch_.target_rows();
  targets.samples = batch_.target_slots();
  targets.t = batch_.t();
  targets.unit = batch_.unit();
  targets.inverse_norms = inverse_norms_.as<float>();
  targets.h = h;
  RETURN_IF_ERROR(CUDA_STATUS(AddTargets(targets, stream_.get())));

  UpdateArguments update;
  update.active = rows();
  update.range = block;
  update.dim = dim;
  update.h = h;
  update.inverse_norms = inverse_norms_.as<float>();
  update.w = {weights_.data(), options_.weights};
  update.moment0 = {moments_[0].data(), options_.moments};
  update.moment1 = {moments_[1].data(), options_.moments};
  update.counts = counts_.as<uint32_t>();
  update.seed = options_.seed;
  update.step = step_;
  update.first_class = options_.range.begin;
  return std::visit(
      [&](const auto& optimizer) { return CUDA_STATUS(UpdateRows(optimizer, lr, update, stream_.get())); },
      options_.optimizer);
}

}  // namespace arcshard::head
