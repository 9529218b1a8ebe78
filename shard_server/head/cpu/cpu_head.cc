#include "shard_server/head/cpu/cpu_head.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "common/base/status_macros.h"
#include "shard_server/head/cpu/kernels/operands.h"
#include "shard_server/head/cpu/kernels/products.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {

template <typename T>
CpuHead<T>::CpuHead(const HeadOptions& options)
    : CheckedHead(options),
      store_(options),
      exponential_(options.scale, options.num_classes, options.filter),
      active_(options),
      pool_(options.threads),
      scratch_(static_cast<size_t>(options.threads)) {}

template <typename T>
absl::StatusOr<std::unique_ptr<CpuHead<T>>> CpuHead<T>::Create(const HeadOptions& options) {
  std::unique_ptr<CpuHead> head(new CpuHead(options));
  RETURN_IF_ERROR(head->Allocate());
  // Each thread is the first to write its own rows, so that the system places their pages near it.
  const BlockPlan& plan = head->active_.blocks();
  head->pool_.Run([&](int thread) {
    for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) {
      const Block& block = plan.blocks[static_cast<size_t>(b)];
      head->store_.Fill(block.begin, block.rows);
    }
  });
  return head;
}

template <typename T>
absl::Status CpuHead<T>::Allocate() {
  RETURN_IF_ERROR(store_.Allocate());
  RETURN_IF_ERROR(active_.Allocate());
  RETURN_IF_ERROR(kept_.Init(options().exp_budget_bytes));
  const int64_t rows = active_.LargestBlock(), dim = options().dim;
  for (Scratch& scratch : scratch_) {
    RETURN_IF_ERROR(scratch.h.Reserve(rows * dim, "a block's gradient"));
    RETURN_IF_ERROR(scratch.centers.Reserve(rows * DepthOf<T>(dim), "a block's class centers"));
    RETURN_IF_ERROR(scratch.inverse_norms.Reserve(rows, "a block's inverse norms"));
    RETURN_IF_ERROR(scratch.randoms.Reserve(RandomsOfRow(dim), "random bits"));
    RETURN_IF_ERROR(scratch.packed_centers.Reserve(rows * dim, "a block's class centers"));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::ReserveScratch(int64_t samples, bool pass_1) {
  const int64_t stride = RoundedUp(samples, kRowUnit);
  const int64_t rows = active_.LargestBlock();
  for (Scratch& scratch : scratch_) {
    RETURN_IF_ERROR(scratch.q.Reserve(rows * stride, "a block's exponentials"));
    if (!std::is_same_v<T, float>) RETURN_IF_ERROR(scratch.s.Reserve(rows * stride, "a block's logits"));
    RETURN_IF_ERROR(scratch.block_z.Reserve(stride, "a block's sums"));
    if (!pass_1) continue;
    RETURN_IF_ERROR(scratch.q_transposed.Reserve(rows * stride, "a block's exponentials"));
    RETURN_IF_ERROR(scratch.u.Reserve(stride * options().dim, "weighted centers"));
    RETURN_IF_ERROR(scratch.z.Reserve(stride, "sums over negatives"));
  }
  return absl::OkStatus();
}

// --- a step

template <typename T>
absl::Status CpuHead<T>::DoBegin(uint64_t step, const LabelSet& labels) {
  active_.Choose(step, labels, pool_);
  return absl::OkStatus();
}

// --- pass 1

template <typename T>
absl::Status CpuHead<T>::DoForward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  const int64_t samples = SamplesOf(group);
  RETURN_IF_ERROR(forward_.Start(samples, options().dim, /*gradient=*/false));
  RETURN_IF_ERROR(ReserveScratch(samples, /*pass_1=*/true));
  outputs_.clear();
  for (size_t m = 0; m < group.size(); ++m) {
    forward_.Append(group[m], options().range, active_);
    for (int64_t i = 0; i < group[m].embedding.rows; ++i) {
      outputs_.push_back({&outputs[m].z[static_cast<size_t>(i)], outputs[m].u.row(i), outputs[m].own_centers.row(i)});
    }
  }
  forward_.Finish();
  kept_.AddGroup(samples, active_.blocks(), forward_.stride() * static_cast<int64_t>(sizeof(T)));
  if (samples == 0) return absl::OkStatus();
  pool_.Run([this](int thread) { ForwardBlocks(thread); });
  pool_.Run([this](int thread) { AddUpOutputs(thread); });
  return absl::OkStatus();
}

// Where float32 centers were rounded for the product, these are the inverse norms of the rounded rows. S/|w| is then
// the cosine between unit vectors, and the rounding error along the center, which dominates near a cosine of 1,
// cancels.
template <typename T>
absl::Span<const float> CpuHead<T>::InverseNorms(const BlockRows& rows, const T* centers, Scratch& scratch) const {
  const float* const all = store_.inverse_norms();
  const size_t count = static_cast<size_t>(rows.count);
  const absl::Span<float> own = absl::MakeSpan(scratch.inverse_norms.data(), count);
  if (!std::is_same_v<T, float> && options().weights == DataType::kFloat32) {
    InverseNormsOfRows(DepthOf<T>(options().dim), centers, own);
    return own;
  }
  if (rows.list == nullptr) return {all + rows.first, count};
  for (size_t i = 0; i < count; ++i) own[i] = all[rows.list[i]];
  return own;
}

template <typename T>
BlockShape CpuHead<T>::ShapeOf(const Block& block, const PreparedGroup<T>& group) const {
  return {RoundedUp(block.rows, kRowUnit), group.stride(), options().dim, options().bfloat16_products};
}

template <typename T>
void CpuHead<T>::ComputeExponentials(const Block& block, const T* centers, const PreparedGroup<T>& group,
                                     Scratch& scratch, T* q) const {
  const BlockShape shape = ShapeOf(block, group);
  const ExponentialsJob job = {InverseNorms(active_.RowsOf(block), centers, scratch), group.samples(), group.stride(),
                               block.begin, group.TargetsOf(block)};
  std::fill_n(scratch.block_z.data(), group.samples(), 0.0f);
  if constexpr (std::is_same_v<T, float>) {
    ProductOfCosines(shape, centers, group.unit(), q);
    ExponentialsOfBlock(exponential_, job, q, scratch.block_z.data());
  } else {
    ProductOfCosines(shape, centers, group.unit(), scratch.s.data());
    ExponentialsOfBlock(exponential_, job, scratch.s.data(), q, scratch.block_z.data());
  }
}

template <typename T>
const T* CpuHead<T>::Packed(const T* centers, int64_t rows, Scratch& scratch) const {
  PackRows(rows, options().dim, centers, DepthOf<T>(options().dim), scratch.packed_centers.data());
  return scratch.packed_centers.data();
}

template <typename T>
void CpuHead<T>::ForwardBlocks(int thread) {
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  const BlockPlan& plan = active_.blocks();
  std::fill_n(scratch.u.data(), forward_.stride() * options().dim, 0.0f);
  std::fill_n(scratch.z.data(), forward_.samples(), 0.0);
  for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) {
    const Block& block = plan.blocks[static_cast<size_t>(b)];
    const BlockRows rows = active_.RowsOf(block);
    const BlockShape shape = ShapeOf(block, forward_);
    const T* const centers = store_.Centers(rows, scratch.centers.data());
    T* const slot = static_cast<T*>(kept_.Slot(kept_.groups() - 1, b, block));
    T* const q = slot != nullptr ? slot : scratch.q.data();
    ComputeExponentials(block, centers, forward_, scratch, q);
    AddWidened(forward_.samples(), scratch.block_z.data(), scratch.z.data());
    Transpose(shape.rows, shape.samples, q, scratch.q_transposed.data());
    AddWeightedCenters(shape, scratch.q_transposed.data(), Packed(centers, shape.rows, scratch), scratch.u.data());
    for (const Target& target : forward_.TargetsOf(block)) {
      store_.UnitCenter(rows[target.row - block.begin], outputs_[static_cast<size_t>(target.sample)].own_center);
    }
  }
  ReleaseProducts();
}

template <typename T>
void CpuHead<T>::AddUpOutputs(int thread) {
  const int64_t samples = forward_.samples();
  const int64_t dim = options().dim;
  for (int64_t i = samples * thread / pool_.threads(); i < samples * (thread + 1) / pool_.threads(); ++i) {
    const OutputRow& out = outputs_[static_cast<size_t>(i)];
    double z = 0.0;
    std::fill_n(out.u, dim, 0.0f);
    for (const Scratch& scratch : scratch_) {
      z += scratch.z.data()[i];
      AddScaled(dim, 1.0f, scratch.u.data() + i * dim, out.u);
    }
    *out.z = static_cast<float>(z);
  }
}

// --- pass 2

template <typename T>
absl::Status CpuHead<T>::PrepareUpdate(absl::Span<const Group> groups) {
  assert(kept_.groups() == 0 || kept_.groups() == static_cast<int64_t>(groups.size()));
  if (update_.size() < groups.size()) update_.resize(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t samples = SamplesOf(groups[g]);
    assert(kept_.groups() == 0 || samples == kept_.samples(static_cast<int64_t>(g)));
    RETURN_IF_ERROR(update_[g].Start(samples, options().dim, /*gradient=*/true));
    RETURN_IF_ERROR(ReserveScratch(samples, /*pass_1=*/false));
    for (const UpdateInput& input : groups[g]) {
      update_[g].Append(input.forward, options().range, active_);
      update_[g].AppendGradient(input.r, input.t);
    }
    update_[g].Finish();
  }
  update_groups_ = groups.size();
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoFormGradient(absl::Span<const Group> groups, absl::FunctionRef<bool()> stop) {
  if (!early_.started()) {
    RETURN_IF_ERROR(PrepareUpdate(groups));
    early_.Start(kept_.Rest(), active_.blocks(), options().dim);
  }
  pool_.Run([&](int thread) {
    while (early_.HasNext(thread) && !stop()) {
      GradientOfBlock(early_.Next(thread), scratch_[static_cast<size_t>(thread)], early_.NextSlot(thread));
      early_.Add(thread);
    }
    ReleaseProducts();
  });
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoUpdate(absl::Span<const Group> groups, float lr) {
  if (!early_.started()) RETURN_IF_ERROR(PrepareUpdate(groups));
  const UpdateStep update = {MakeOptimizerStep(options(), lr), step(), RoundingBits(options().seed)};
  pool_.Run([&](int thread) { UpdateBlocks(thread, update); });
  return absl::OkStatus();
}

template <typename T>
void CpuHead<T>::DoDiscard() {
  kept_.Clear();
  early_.Clear();
}

template <typename T>
void CpuHead<T>::UpdateBlocks(int thread, const UpdateStep& update) {
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  const BlockPlan& plan = active_.blocks();
  for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) {
    const float* h = early_.started() ? early_.Of(thread, b) : nullptr;
    if (h == nullptr) {
      GradientOfBlock(b, scratch, scratch.h.data());
      h = scratch.h.data();
    }
    const BlockRows rows = active_.RowsOf(plan.blocks[static_cast<size_t>(b)]);
    if (observer() != nullptr) observer()->BeforeUpdate(rows);
    UpdateBlock(update, rows, h, scratch.randoms.data(), store_);
  }
  ReleaseProducts();
}

template <typename T>
void CpuHead<T>::GradientOfBlock(int64_t number, Scratch& scratch, float* h) const {
  const Block& block = active_.blocks().blocks[static_cast<size_t>(number)];
  const absl::Span<const PreparedGroup<T>> groups(update_.data(), update_groups_);
  const T* centers = nullptr;
  bool accumulate = false;
  for (size_t g = 0; g < groups.size(); ++g) {
    const PreparedGroup<T>& group = groups[g];
    if (group.samples() == 0) continue;
    T* q = static_cast<T*>(kept_.Slot(static_cast<int64_t>(g), number, block));
    if (q == nullptr) {
      if (centers == nullptr) centers = store_.Centers(active_.RowsOf(block), scratch.centers.data());
      ComputeExponentials(block, centers, group, scratch, q = scratch.q.data());
    }
    ProductOfGradient(ShapeOf(block, group), q, group.unit_times_r(), accumulate, h);
    accumulate = true;
  }
  if (!accumulate) std::fill_n(h, block.rows * options().dim, 0.0f);
  for (const PreparedGroup<T>& group : groups) AddOwnClasses(block, group, h);
}

template <typename T>
void CpuHead<T>::AddOwnClasses(const Block& block, const PreparedGroup<T>& group, float* h) const {
  const BlockRows rows = active_.RowsOf(block);
  for (const Target& target : group.TargetsOf(block)) {
    const int64_t i = target.row - block.begin;
    const float factor = group.t(target.sample) * store_.inverse_norms()[rows[i]];
    AddScaled(options().dim, factor, group.unit_row(target.sample), h + i * options().dim);
  }
}

// --- rows in and out

template <typename T>
absl::Status CpuHead<T>::DoReadWeights(int64_t first, MatrixView<float> out) const {
  store_.weights().Read(first, out.rows, out.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoReadMoment(int moment, int64_t first, MatrixView<float> out) const {
  store_.moment(moment).Read(first, out.rows, out.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoWriteWeights(int64_t first, MatrixView<const float> rows) {
  store_.weights().Write(first, rows.rows, rows.data);
  store_.RenewInverseNorms(first, rows.rows);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoWriteMoment(int moment, int64_t first, MatrixView<const float> rows) {
  store_.moment(moment).Write(first, rows.rows, rows.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoReadCounts(int64_t first, absl::Span<uint32_t> out) const {
  std::copy_n(store_.counts() + first, out.size(), out.data());
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoWriteCounts(int64_t first, absl::Span<const uint32_t> counts) {
  std::copy_n(counts.data(), counts.size(), store_.counts() + first);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::DoReadHeld(RowPart part, int64_t first, absl::Span<std::byte> out) const {
  std::memcpy(out.data(), store_.Held(part, first), out.size());
  return absl::OkStatus();
}

template class CpuHead<float>;
template class CpuHead<Bfloat16>;

}  // namespace arcshard::head
