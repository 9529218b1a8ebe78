#include <algorithm>
#include <cassert>
#include <variant>
#include <vector>

#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/cuda/cuda_head.h"
#include "shard_server/head/input_checks.h"

// The two passes of CudaHead.
namespace arcshard::head {
namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kFloatsOfBoundary = 64;  // 256 bytes

// The offsets of z, U and the own centers in the outputs of a pass, in floats.
struct OutputLayout {
  int64_t u = 0;            // slots×D
  int64_t own_centers = 0;  // targets×D
  int64_t size = 0;

  OutputLayout(int64_t slots, int64_t targets, int64_t dim)
      : u(RoundedUp(slots, kFloatsOfBoundary)),
        own_centers(RoundedUp(u + slots * dim, kFloatsOfBoundary)),
        size(own_centers + targets * dim) {}
};

}  // namespace

// --- pass 1

absl::Status CudaHead::DoForward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  const int64_t samples = SamplesOf(group);
  const StepGroup kept = MakeStepGroup(samples);
  if (samples > 0) {
    RETURN_IF_ERROR(UseDevice());
    RETURN_IF_ERROR(batch_.Start({samples}, options().dim, /*gradient=*/false));
    RETURN_IF_ERROR(ReserveScratch(samples));
    batch_.StartGroup();
    for (const ForwardInput& input : group) batch_.Append(input, options().range);
    RETURN_IF_ERROR(batch_.Finish(options().compute, stream_));
    RETURN_IF_ERROR(FindTargets());
    RETURN_IF_ERROR(ForwardGroup(kept));
    HandOut(group, outputs);
  }
  groups_.push_back(kept);
  kept_used_ += kept.kept_bytes;
  return absl::OkStatus();
}

// Leaves the results of the batch, which holds one group, in host_outputs_.
absl::Status CudaHead::ForwardGroup(const StepGroup& kept) {
  const int64_t dim = options().dim;
  const int64_t bytes_of_sums = batch_.slots() * static_cast<int64_t>(sizeof(double));
  const OutputLayout layout(batch_.slots(), batch_.targets(), dim);
  RETURN_IF_ERROR(outputs_.Reserve(layout.size * kFloat, "a pass's outputs"));
  RETURN_IF_ERROR(host_outputs_.Reserve(layout.size * kFloat, "a pass's outputs on the host"));
  RETURN_IF_ERROR(sums_.Reserve(bytes_of_sums, "sums over negatives"));
  float* const z = outputs_.as<float>();
  RETURN_IF_ERROR(stream_.Zero(z + layout.u, batch_.slots() * dim * kFloat));
  RETURN_IF_ERROR(stream_.Zero(sums_.data(), bytes_of_sums));
  RETURN_IF_ERROR(ForwardBlocks({0, kept.samples}, kept, z + layout.u));
  RETURN_IF_ERROR(CUDA_STATUS(NarrowSums(kept.samples, sums_.as<double>(), z, stream_.get())));
  OwnCentersArguments own;
  own.targets = batch_.targets();
  own.dim = dim;
  own.target_rows = batch_.target_rows();
  own.w = {weights_.data(), options().weights};
  own.inverse_norms = inverse_norms_.as<float>();
  own.own_centers = z + layout.own_centers;
  RETURN_IF_ERROR(CUDA_STATUS(OwnCenters(own, stream_.get())));
  RETURN_IF_ERROR(stream_.Copy(host_outputs_.data(), outputs_.data(), layout.size * kFloat));
  return stream_.Synchronize();
}

absl::Status CudaHead::ForwardBlocks(const GroupSlots& group, const StepGroup& kept, float* u) {
  for (int64_t index = 0; index < blocks(); ++index) {
    const PositionRange block = Block(index);
    ASSIGN_OR_RETURN(const BlockCenters centers, CentersOf(block));
    const Values slot = Slot(kept, index);
    const Values q = slot.data != nullptr ? slot : ScratchQ();
    RETURN_IF_ERROR(ComputeExponentials(block, group, centers, q));
    RETURN_IF_ERROR(CUDA_STATUS(AddTileSums(TilesOf(block.size), group.samples, group.stride(), tile_sums_.as<float>(),
                                            sums_.as<double>(), stream_.get())));
    RETURN_IF_ERROR(blas_->AddWeightedCenters(ShapeOf(block, group), {q.data, q.type}, centers.w, u));
  }
  return absl::OkStatus();
}

void CudaHead::HandOut(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) const {
  const int64_t dim = options().dim;
  const OutputLayout layout(batch_.slots(), batch_.targets(), dim);
  const float* const z = reinterpret_cast<const float*>(host_outputs_.data());
  std::vector<float*> own_centers;  // one for each sample
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

absl::Status CudaHead::DoUpdate(absl::Span<const Group> groups, float lr) {
  assert(groups_.empty() || groups.size() == groups_.size());
  RETURN_IF_ERROR(UseDevice());
  std::vector<int64_t> samples;
  std::vector<GroupSlots> slots;
  int64_t first = 0;
  for (const Group& group : groups) {
    samples.push_back(SamplesOf(group));
    slots.push_back({first, samples.back()});
    first += slots.back().stride();
    RETURN_IF_ERROR(ReserveScratch(samples.back()));
  }
  RETURN_IF_ERROR(batch_.Start(samples, options().dim, /*gradient=*/true));
  for (const Group& group : groups) {
    batch_.StartGroup();
    for (const UpdateInput& input : group) {
      batch_.Append(input.forward, options().range);
      batch_.AppendGradient(input.r, input.t);
    }
  }
  RETURN_IF_ERROR(batch_.Finish(options().compute, stream_));
  RETURN_IF_ERROR(FindTargets());
  for (int64_t index = 0; index < blocks(); ++index) {
    if (observer() != nullptr) RETURN_IF_ERROR(TellObserver(Block(index)));
    RETURN_IF_ERROR(UpdateBlock(index, slots, lr));
  }
  return stream_.Synchronize();
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
  observer()->BeforeUpdate(rows);
  return absl::OkStatus();
}

absl::Status CudaHead::ComputeGradient(int64_t index, absl::Span<const GroupSlots> groups) {
  const PositionRange block = Block(index);
  float* const h = h_.as<float>();
  BlockCenters centers;  // gathered for the first group that needs them
  bool accumulate = false;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].samples == 0) continue;
    // A replayed step has no pass 1 that could have kept anything.
    Values q = Slot(groups_.empty() ? StepGroup{} : groups_[g], index);
    if (q.data == nullptr) {
      q = ScratchQ();
      if (centers.w.data == nullptr) {
        ASSIGN_OR_RETURN(centers, CentersOf(block));
      }
      RETURN_IF_ERROR(ComputeExponentials(block, groups[g], centers, q));
    }
    RETURN_IF_ERROR(blas_->ProductOfGradient(ShapeOf(block, groups[g]), {q.data, q.type},
                                             batch_.UnitTimesR(groups[g].first), accumulate, h));
    accumulate = true;
  }
  return accumulate ? absl::OkStatus() : stream_.Zero(h, block.size * options().dim * kFloat);
}

absl::Status CudaHead::UpdateBlock(int64_t index, absl::Span<const GroupSlots> groups, float lr) {
  RETURN_IF_ERROR(ComputeGradient(index, groups));
  const PositionRange block = Block(index);
  TargetsArguments targets;
  targets.active = rows();
  targets.range = block;
  targets.targets = batch_.targets();
  targets.dim = options().dim;
  targets.positions = sampled() ? positions_.as<int64_t>() : batch_.target_rows();
  targets.samples = batch_.target_slots();
  targets.t = batch_.t();
  targets.unit = batch_.unit();
  targets.inverse_norms = inverse_norms_.as<float>();
  targets.h = h_.as<float>();
  RETURN_IF_ERROR(CUDA_STATUS(AddTargets(targets, stream_.get())));

  UpdateArguments update;
  update.active = rows();
  update.range = block;
  update.dim = options().dim;
  update.h = h_.as<float>();
  update.inverse_norms = inverse_norms_.as<float>();
  update.w = {weights_.data(), options().weights};
  update.moment0 = {moments_[0].data(), options().moments};
  update.moment1 = {moments_[1].data(), options().moments};
  update.counts = counts_.as<uint32_t>();
  update.seed = options().seed;
  update.step = step();
  update.first_class = options().range.begin;
  return std::visit(
      [&](const auto& optimizer) { return CUDA_STATUS(UpdateRows(optimizer, lr, update, stream_.get())); },
      options().optimizer);
}

}  // namespace arcshard::head
