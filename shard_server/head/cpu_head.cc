#include "shard_server/head/cpu_head.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/blas.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {

CpuHead::CpuHead(const HeadOptions& options)
    : options_(options),
      exponential_(options.scale, options.num_classes),
      plan_(BlockPlan::Make(options.range.size(), options.dim, options.threads)),
      pool_(options.threads),
      workers_(static_cast<size_t>(options.threads)) {}

absl::StatusOr<std::unique_ptr<CpuHead>> CpuHead::Create(const HeadOptions& options) {
  std::unique_ptr<CpuHead> head(new CpuHead(options));
  RETURN_IF_ERROR(head->Allocate());
  head->FillWeights();
  return head;
}

absl::Status CpuHead::Allocate() {
  const int64_t classes = options_.range.size();
  RETURN_IF_ERROR(weights_.Reserve(classes * options_.dim, "class centers"));
  RETURN_IF_ERROR(momentum_.Reserve(classes * options_.dim, "momentum"));
  RETURN_IF_ERROR(inverse_norms_.Reserve(classes, "inverse norms"));
  RETURN_IF_ERROR(kept_.Init(options_.exp_budget_bytes));
  for (Worker& worker : workers_) {
    RETURN_IF_ERROR(worker.h.Reserve(plan_.max_rows * options_.dim, "a block's gradient"));
  }
  return absl::OkStatus();
}

void CpuHead::FillWeights() {
  // Each thread touches its own rows first, which puts their pages near it.
  pool_.Run([&](int thread) {
    for (int64_t b = plan_.first_block[thread]; b < plan_.first_block[thread + 1]; ++b) {
      const Block& block = plan_.blocks[static_cast<size_t>(b)];
      FillFirstWeights(options_.seed, options_.range.begin + block.begin, block.rows, options_.dim,
                       weights(block.begin));
      std::fill_n(momentum(block.begin), block.rows * options_.dim, 0.0f);
      InverseNormsOfRows(options_.dim, weights(block.begin), inverse_norms(block));
    }
  });
}

// --- pass 1

absl::Status CpuHead::ReserveWorkers(int64_t samples, bool pass_1) {
  const int64_t stride = PreparedGroup::StrideOf(samples);
  for (Worker& worker : workers_) {
    RETURN_IF_ERROR(worker.s.Reserve(plan_.max_rows * stride, "a block's logits"));
    RETURN_IF_ERROR(worker.block_z.Reserve(stride, "a block's sums"));
    if (!pass_1) continue;
    RETURN_IF_ERROR(worker.u.Reserve(samples * options_.dim, "weighted centers"));
    RETURN_IF_ERROR(worker.z.Reserve(stride, "sums over negatives"));
  }
  return absl::OkStatus();
}

absl::Status CpuHead::Begin(uint64_t step, absl::Span<const int64_t>) {
  if (step == 0) return absl::InvalidArgumentError("steps are numbered from 1");
  if (step_ != 0) return absl::FailedPreconditionError(absl::StrCat("step ", step_, " is in hand"));
  step_ = step;
  return absl::OkStatus();
}

void CpuHead::Discard() {
  kept_.Clear();
  step_ = 0;
}

absl::Status CpuHead::Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  RETURN_IF_ERROR(CheckForward(options_, group, outputs));
  const int64_t samples = SamplesOf(group);
  RETURN_IF_ERROR(forward_.Start(samples, options_.dim, /*gradient=*/false));
  RETURN_IF_ERROR(ReserveWorkers(samples, /*pass_1=*/true));
  outputs_.clear();
  for (size_t m = 0; m < group.size(); ++m) {
    forward_.Append(group[m], options_.range);
    for (int64_t i = 0; i < group[m].embedding.rows; ++i) {
      outputs_.push_back({&outputs[m].z[static_cast<size_t>(i)], outputs[m].u.row(i), outputs[m].own_centers.row(i)});
    }
  }
  forward_.Finish();
  kept_.AddGroup(samples, static_cast<int64_t>(plan_.blocks.size()), plan_.max_rows * forward_.stride());
  if (samples == 0) return absl::OkStatus();
  pool_.Run([this](int thread) { ForwardBlocks(thread); });
  pool_.Run([this](int thread) { AddUpOutputs(thread); });
  return absl::OkStatus();
}

void CpuHead::ComputeExponentials(const Block& block, const PreparedGroup& group, Worker& worker, float* q) const {
  std::fill_n(worker.block_z.data(), group.samples(), 0.0f);
  ProductOfCosines(block.rows, group.samples(), options_.dim, weights(block.begin), group.unit(), q, group.stride());
  ExponentialsOfBlock(exponential_, inverse_norms(block), group.samples(), group.stride(), block.begin,
                      group.TargetsOf(block), q, worker.block_z.data());
}

void CpuHead::ForwardBlocks(int thread) {
  Worker& worker = workers_[static_cast<size_t>(thread)];
  const int64_t samples = forward_.samples();
  const int64_t dim = options_.dim;
  std::fill_n(worker.u.data(), samples * dim, 0.0f);
  std::fill_n(worker.z.data(), samples, 0.0);
  for (int64_t b = plan_.first_block[thread]; b < plan_.first_block[thread + 1]; ++b) {
    const Block& block = plan_.blocks[static_cast<size_t>(b)];
    float* const slot = kept_.Slot(kept_.groups() - 1, b);
    float* const q = slot != nullptr ? slot : worker.s.data();
    ComputeExponentials(block, forward_, worker, q);
    AddWidened(samples, worker.block_z.data(), worker.z.data());
    AddWeightedCenters(block.rows, samples, dim, q, forward_.stride(), weights(block.begin), worker.u.data());
    for (const Target& target : forward_.TargetsOf(block)) {
      Scale(dim, inverse_norms_.data()[target.row], weights(target.row),
            outputs_[static_cast<size_t>(target.sample)].own_center);
    }
  }
}

void CpuHead::AddUpOutputs(int thread) {
  const int64_t samples = forward_.samples();
  const int64_t dim = options_.dim;
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

absl::Status CpuHead::CheckUpdate(absl::Span<const Group> groups, float lr) const {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  if (!std::isfinite(lr)) return absl::InvalidArgumentError(absl::StrCat("the learning rate is ", lr));
  if (static_cast<int64_t>(groups.size()) != kept_.groups()) {
    return absl::InvalidArgumentError(absl::StrCat("the update has ", groups.size(), " groups, but Forward took ",
                                                   kept_.groups(), " since the last update"));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const absl::Status status = CheckUpdateGroup(options_, groups[g]);
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

absl::Status CpuHead::Update(absl::Span<const Group> groups, float lr) {
  RETURN_IF_ERROR(CheckUpdate(groups, lr));
  if (update_.size() < groups.size()) update_.resize(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t samples = SamplesOf(groups[g]);
    RETURN_IF_ERROR(update_[g].Start(samples, options_.dim, /*gradient=*/true));
    RETURN_IF_ERROR(ReserveWorkers(samples, /*pass_1=*/false));
    for (const UpdateInput& input : groups[g]) {
      update_[g].Append(input.forward, options_.range);
      update_[g].AppendGradient(input.r, input.t);
    }
    update_[g].Finish();
  }
  const SgdStep step(std::get<SgdOptions>(options_.optimizer), lr);
  pool_.Run([&](int thread) { UpdateBlocks(thread, static_cast<int64_t>(groups.size()), step); });
  Discard();
  return absl::OkStatus();
}

void CpuHead::UpdateBlocks(int thread, int64_t groups, const SgdStep& step) {
  Worker& worker = workers_[static_cast<size_t>(thread)];
  const int64_t dim = options_.dim;
  float* const h = worker.h.data();
  for (int64_t b = plan_.first_block[thread]; b < plan_.first_block[thread + 1]; ++b) {
    const Block& block = plan_.blocks[static_cast<size_t>(b)];
    bool accumulate = false;
    for (int64_t g = 0; g < groups; ++g) {
      const PreparedGroup& group = update_[static_cast<size_t>(g)];
      if (group.samples() == 0) continue;
      float* q = kept_.Slot(g, b);
      if (q == nullptr) ComputeExponentials(block, group, worker, q = worker.s.data());
      ProductOfGradient(block.rows, group.samples(), dim, q, group.stride(), group.unit_times_r(), accumulate, h);
      accumulate = true;
    }
    if (!accumulate) std::fill_n(h, block.rows * dim, 0.0f);
    for (int64_t g = 0; g < groups; ++g) {
      const PreparedGroup& group = update_[static_cast<size_t>(g)];
      for (const Target& target : group.TargetsOf(block)) {
        const float factor = group.t(target.sample) * inverse_norms_.data()[target.row];
        AddScaled(dim, factor, group.unit_row(target.sample), h + (target.row - block.begin) * dim);
      }
    }
    UpdateBlock(step, dim, h, inverse_norms(block), weights(block.begin), momentum(block.begin));
  }
}

// --- rows in and out

absl::Status CpuHead::ReadWeights(ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckRows(options_, range, out));
  std::copy_n(weights(range.begin - options_.range.begin), out.size(), out.data);
  return absl::OkStatus();
}

absl::Status CpuHead::ReadMoment(int, ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckRows(options_, range, out));
  std::copy_n(momentum(range.begin - options_.range.begin), out.size(), out.data);
  return absl::OkStatus();
}

absl::Status CpuHead::WriteWeights(ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckRows(options_, range, rows));
  if (step_ != 0) {
    return absl::FailedPreconditionError(
        "weights can't be written while a step is in hand: pass 2 would see other exponentials than pass 1");
  }
  const Block block = {range.begin - options_.range.begin, range.size()};
  std::copy_n(rows.data, rows.size(), weights(block.begin));
  InverseNormsOfRows(options_.dim, weights(block.begin), inverse_norms(block));
  return absl::OkStatus();
}

absl::Status CpuHead::WriteMoment(int, ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckRows(options_, range, rows));
  std::copy_n(rows.data, rows.size(), momentum(range.begin - options_.range.begin));
  return absl::OkStatus();
}

absl::Status CpuHead::ReadCounts(ClassRange, absl::Span<uint32_t>) const {
  return absl::FailedPreconditionError("SGD counts no steps");
}

absl::Status CpuHead::WriteCounts(ClassRange, absl::Span<const uint32_t>) {
  return absl::FailedPreconditionError("SGD counts no steps");
}

}  // namespace arcshard::head
