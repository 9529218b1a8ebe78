#include "shard_server/head/cpu/cpu_head.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cpu/operands.h"
#include "shard_server/head/cpu/products.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {

template <typename T>
CpuHead<T>::CpuHead(const HeadOptions& options)
    : store_(options),
      exponential_(options.scale, options.num_classes, options.filter),
      plan_(options),
      pool_(options.threads),
      workers_(static_cast<size_t>(options.threads)) {}

template <typename T>
absl::StatusOr<std::unique_ptr<CpuHead<T>>> CpuHead<T>::Create(const HeadOptions& options) {
  std::unique_ptr<CpuHead> head(new CpuHead(options));
  RETURN_IF_ERROR(head->Allocate());
  // Each thread touches its own rows first, which puts their pages near it.
  const BlockPlan& plan = head->plan_.blocks();
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
  RETURN_IF_ERROR(plan_.Allocate());
  RETURN_IF_ERROR(kept_.Init(options().exp_budget_bytes));
  const int64_t rows = plan_.LargestBlock(), dim = options().dim;
  for (Worker& worker : workers_) {
    RETURN_IF_ERROR(worker.h.Reserve(rows * dim, "a block's gradient"));
    RETURN_IF_ERROR(worker.centers.Reserve(rows * DepthOf<T>(dim), "a block's class centers"));
    RETURN_IF_ERROR(worker.inverse_norms.Reserve(rows, "a block's inverse norms"));
    RETURN_IF_ERROR(worker.randoms.Reserve(RandomsOfRow(dim), "random bits"));
    if (!std::is_same_v<T, float>)
      RETURN_IF_ERROR(worker.paired_centers.Reserve(rows * dim, "a block's class centers"));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::ReserveWorkers(int64_t samples, bool pass_1) {
  const int64_t stride = RoundedUp(samples, kRowUnit);
  const int64_t rows = plan_.LargestBlock();
  for (Worker& worker : workers_) {
    RETURN_IF_ERROR(worker.q.Reserve(rows * stride, "a block's exponentials"));
    if (!std::is_same_v<T, float>) RETURN_IF_ERROR(worker.s.Reserve(rows * stride, "a block's logits"));
    RETURN_IF_ERROR(worker.block_z.Reserve(stride, "a block's sums"));
    if (!pass_1) continue;
    RETURN_IF_ERROR(worker.q_transposed.Reserve(rows * stride, "a block's exponentials"));
    RETURN_IF_ERROR(worker.u.Reserve(stride * options().dim, "weighted centers"));
    RETURN_IF_ERROR(worker.z.Reserve(stride, "sums over negatives"));
  }
  return absl::OkStatus();
}

// --- a step

template <typename T>
absl::Status CpuHead<T>::Begin(uint64_t step, absl::Span<const int64_t> labels) {
  if (step_ != 0) return absl::FailedPreconditionError(absl::StrCat("step ", step_, " is in hand"));
  RETURN_IF_ERROR(CheckBegin(options(), step, labels));
  plan_.Choose(step, labels, pool_);
  step_ = step;
  return absl::OkStatus();
}

template <typename T>
void CpuHead<T>::Discard() {
  kept_.Clear();
  step_ = 0;
}

// --- pass 1

template <typename T>
absl::Status CpuHead<T>::CheckLabels(absl::Span<const ForwardInput> group) const {
  for (size_t m = 0; m < group.size(); ++m) {
    for (const int64_t label : group[m].labels) {
      if (plan_.Unannounced(label)) return UnannouncedLabel(step_, m, label);
    }
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  RETURN_IF_ERROR(CheckForward(options(), group, outputs));
  RETURN_IF_ERROR(CheckLabels(group));
  const int64_t samples = SamplesOf(group);
  RETURN_IF_ERROR(forward_.Start(samples, options().dim, /*gradient=*/false));
  RETURN_IF_ERROR(ReserveWorkers(samples, /*pass_1=*/true));
  outputs_.clear();
  for (size_t m = 0; m < group.size(); ++m) {
    forward_.Append(group[m], options().range, plan_);
    for (int64_t i = 0; i < group[m].embedding.rows; ++i) {
      outputs_.push_back({&outputs[m].z[static_cast<size_t>(i)], outputs[m].u.row(i), outputs[m].own_centers.row(i)});
    }
  }
  forward_.Finish();
  const BlockPlan& blocks = plan_.blocks();
  kept_.AddGroup(samples, static_cast<int64_t>(blocks.blocks.size()),
                 RoundedUp(blocks.max_rows, kRowUnit) * forward_.stride() * static_cast<int64_t>(sizeof(T)));
  if (samples == 0) return absl::OkStatus();
  pool_.Run([this](int thread) { ForwardBlocks(thread); });
  pool_.Run([this](int thread) { AddUpOutputs(thread); });
  return absl::OkStatus();
}

// Where float32 centers were rounded for the product, they are those of the rounded rows: a cosine is then one of unit
// vectors, and the rounding's part along a center, the larger one near a cosine of 1, falls out.
template <typename T>
absl::Span<const float> CpuHead<T>::InverseNorms(const BlockRows& rows, const T* centers, Worker& worker) const {
  const float* const all = store_.inverse_norms();
  const size_t count = static_cast<size_t>(rows.count);
  const absl::Span<float> own = absl::MakeSpan(worker.inverse_norms.data(), count);
  if (!std::is_same_v<T, float> && options().weights == DataType::kFloat32) {
    InverseNormsOfRows(DepthOf<T>(options().dim), centers, own);
    return own;
  }
  if (rows.list == nullptr) return {all + rows.first, count};
  for (size_t i = 0; i < count; ++i) own[i] = all[rows.list[i]];
  return own;
}

template <typename T>
void CpuHead<T>::ComputeExponentials(const Block& block, const T* centers, const PreparedGroup<T>& group,
                                     Worker& worker, T* q) const {
  const BlockShape shape = {RoundedUp(block.rows, kRowUnit), group.stride(), options().dim};
  const ExponentialsJob job = {InverseNorms(plan_.RowsOf(block), centers, worker), group.samples(), group.stride(),
                               block.begin, group.TargetsOf(block)};
  std::fill_n(worker.block_z.data(), group.samples(), 0.0f);
  if constexpr (std::is_same_v<T, float>) {
    ProductOfCosines(shape, centers, group.unit(), q);
    ExponentialsOfBlock(exponential_, job, q, worker.block_z.data());
  } else {
    ProductOfCosines(shape, centers, group.unit(), worker.s.data());
    ExponentialsOfBlock(exponential_, job, worker.s.data(), q, worker.block_z.data());
  }
}

template <typename T>
const T* CpuHead<T>::Paired(const T* centers, int64_t rows, Worker& worker) const {
  if constexpr (std::is_same_v<T, float>) {
    return centers;
  } else {
    PairRows(rows, options().dim, centers, DepthOf<T>(options().dim), worker.paired_centers.data());
    return worker.paired_centers.data();
  }
}

template <typename T>
void CpuHead<T>::ForwardBlocks(int thread) {
  Worker& worker = workers_[static_cast<size_t>(thread)];
  const BlockPlan& plan = plan_.blocks();
  std::fill_n(worker.u.data(), forward_.stride() * options().dim, 0.0f);
  std::fill_n(worker.z.data(), forward_.samples(), 0.0);
  for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) {
    const Block& block = plan.blocks[static_cast<size_t>(b)];
    const BlockRows rows = plan_.RowsOf(block);
    const BlockShape shape = {RoundedUp(block.rows, kRowUnit), forward_.stride(), options().dim};
    const T* const centers = store_.Centers(rows, worker.centers.data());
    T* const slot = static_cast<T*>(kept_.Slot(kept_.groups() - 1, b));
    T* const q = slot != nullptr ? slot : worker.q.data();
    ComputeExponentials(block, centers, forward_, worker, q);
    AddWidened(forward_.samples(), worker.block_z.data(), worker.z.data());
    Transpose(shape.rows, shape.samples, q, worker.q_transposed.data());
    AddWeightedCenters(shape, worker.q_transposed.data(), Paired(centers, shape.rows, worker), worker.u.data());
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
    for (const Worker& worker : workers_) {
      z += worker.z.data()[i];
      AddScaled(dim, 1.0f, worker.u.data() + i * dim, out.u);
    }
    *out.z = static_cast<float>(z);
  }
}

// --- pass 2

template <typename T>
absl::Status CpuHead<T>::CheckUpdate(absl::Span<const Group> groups, float lr) const {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  if (!std::isfinite(lr)) return absl::InvalidArgumentError(absl::StrCat("the learning rate is ", lr));
  if (static_cast<int64_t>(groups.size()) != kept_.groups()) {
    return absl::InvalidArgumentError(absl::StrCat("the update has ", groups.size(), " groups, but Forward took ",
                                                   kept_.groups(), " since the last update"));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    absl::Status status = CheckUpdateGroup(options(), groups[g]);
    for (const UpdateInput& input : groups[g]) status.Update(CheckLabels({&input.forward, 1}));
    if (!status.ok()) return Annotate(status, absl::StrCat("group ", g));
    const int64_t samples = SamplesOf(groups[g]);
    if (samples != kept_.samples(static_cast<int64_t>(g))) {
      return absl::InvalidArgumentError(absl::StrCat("group ", g, " of the update has ", samples,
                                                     " samples, but Forward took ",
                                                     kept_.samples(static_cast<int64_t>(g)), " with it"));
    }
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::Update(absl::Span<const Group> groups, float lr) {
  RETURN_IF_ERROR(CheckUpdate(groups, lr));
  if (update_.size() < groups.size()) update_.resize(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t samples = SamplesOf(groups[g]);
    RETURN_IF_ERROR(update_[g].Start(samples, options().dim, /*gradient=*/true));
    RETURN_IF_ERROR(ReserveWorkers(samples, /*pass_1=*/false));
    for (const UpdateInput& input : groups[g]) {
      update_[g].Append(input.forward, options().range, plan_);
      update_[g].AppendGradient(input.r, input.t);
    }
    update_[g].Finish();
  }
  const UpdateStep update = {MakeOptimizerStep(options(), lr), step_, RoundingBits(options().seed)};
  pool_.Run([&](int thread) { UpdateBlocks(thread, {update_.data(), groups.size()}, update); });
  Discard();
  return absl::OkStatus();
}

template <typename T>
void CpuHead<T>::UpdateBlocks(int thread, absl::Span<const PreparedGroup<T>> groups, const UpdateStep& update) {
  Worker& worker = workers_[static_cast<size_t>(thread)];
  const BlockPlan& plan = plan_.blocks();
  float* const h = worker.h.data();
  for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) {
    const Block& block = plan.blocks[static_cast<size_t>(b)];
    const BlockRows rows = plan_.RowsOf(block);
    const T* centers = nullptr;
    bool accumulate = false;
    for (size_t g = 0; g < groups.size(); ++g) {
      const PreparedGroup<T>& group = groups[g];
      if (group.samples() == 0) continue;
      T* q = static_cast<T*>(kept_.Slot(static_cast<int64_t>(g), b));
      if (q == nullptr) {
        if (centers == nullptr) centers = store_.Centers(rows, worker.centers.data());
        ComputeExponentials(block, centers, group, worker, q = worker.q.data());
      }
      ProductOfGradient({RoundedUp(block.rows, kRowUnit), group.stride(), options().dim}, q, group.unit_times_r(),
                        accumulate, h);
      accumulate = true;
    }
    if (!accumulate) std::fill_n(h, block.rows * options().dim, 0.0f);
    for (const PreparedGroup<T>& group : groups) AddOwnClasses(block, group, h);
    if (observer_ != nullptr) observer_->BeforeUpdate(rows);
    UpdateBlock(update, rows, h, worker.randoms.data(), store_);
  }
  ReleaseProducts();
}

template <typename T>
void CpuHead<T>::AddOwnClasses(const Block& block, const PreparedGroup<T>& group, float* h) const {
  const BlockRows rows = plan_.RowsOf(block);
  for (const Target& target : group.TargetsOf(block)) {
    const int64_t i = target.row - block.begin;
    const float factor = group.t(target.sample) * store_.inverse_norms()[rows[i]];
    AddScaled(options().dim, factor, group.unit_row(target.sample), h + i * options().dim);
  }
}

// --- rows in and out

template <typename T>
absl::Status CpuHead<T>::ReadWeights(ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckRows(options(), range, out));
  store_.weights().Read(range.begin - options().range.begin, range.size(), out.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::ReadMoment(int moment, ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckMoment(options(), moment));
  RETURN_IF_ERROR(CheckRows(options(), range, out));
  store_.moment(moment).Read(range.begin - options().range.begin, range.size(), out.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::WriteWeights(ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckRows(options(), range, rows));
  if (step_ != 0) {
    return absl::FailedPreconditionError(
        "weights can't be written while a step is in hand: pass 2 would see other exponentials than pass 1");
  }
  const int64_t first = range.begin - options().range.begin;
  store_.weights().Write(first, range.size(), rows.data);
  store_.RenewInverseNorms(first, range.size());
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckMoment(options(), moment));
  RETURN_IF_ERROR(CheckRows(options(), range, rows));
  store_.moment(moment).Write(range.begin - options().range.begin, range.size(), rows.data);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::ReadCounts(ClassRange range, absl::Span<uint32_t> out) const {
  RETURN_IF_ERROR(CheckCounts(options(), range, static_cast<int64_t>(out.size())));
  std::copy_n(store_.counts() + range.begin - options().range.begin, range.size(), out.data());
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) {
  RETURN_IF_ERROR(CheckCounts(options(), range, static_cast<int64_t>(counts.size())));
  std::copy_n(counts.data(), range.size(), store_.counts() + range.begin - options().range.begin);
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuHead<T>::ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const {
  RETURN_IF_ERROR(CheckHeld(options(), part, range, out.size()));
  if (out.empty()) return absl::OkStatus();
  std::memcpy(out.data(), store_.Held(part, range.begin - options().range.begin), out.size());
  return absl::OkStatus();
}

template class CpuHead<float>;
template class CpuHead<Bfloat16>;

}  // namespace arcshard::head
