#include "worker/training/trainer.h"

#include <cassert>
#include <cmath>
#include <deque>
#include <utility>

#include "ATen/ops/from_blob.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/protocol/logit_shift.h"
#include "common/protocol/wire_type.h"
#include "worker/backbone/device_move.h"
#include "worker/backbone/flat_parameters.h"
#include "worker/backbone/gradient_norm.h"
#include "worker/backbone/layers/standardize.h"
#include "worker/loss/sharded_softmax.h"
#include "worker/training/run_backbone.h"

namespace arcshard::worker {
namespace {

// The scalars that follow gradients and statistics in the all-reduce's buffer.
enum Scalar { kLoss, kCosineSum, kNotFinite, kNumScalars };

template <typename T>
absl::Span<const T> SpanOf(const at::Tensor& tensor) {
  return absl::MakeConstSpan(tensor.const_data_ptr<T>(), tensor.numel());
}

SpanDetails DetailsOf(const Key& key) { return {.step = key.step, .micro_batch = key.micro_batch}; }

at::Tensor Wrap(std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const RunConfig& config, Parts parts) {
  assert(parts.backbone != nullptr && parts.loss != nullptr && parts.loader != nullptr && parts.plan.has_value());
  assert(parts.clock != nullptr && parts.phases != nullptr);
  if (parts.backbone->options().embedding_size != config.backbone.embedding_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the backbone gives embeddings of ", parts.backbone->options().embedding_size,
                     " dimensions, backbone.embedding_size says ", config.backbone.embedding_size));
  }
  return std::unique_ptr<Trainer>(new Trainer(config, std::move(parts)));
}

Trainer::Trainer(const RunConfig& config, Parts parts) : config_(config), parts_(std::move(parts)) {
  RunningStatistics& statistics = parts_.backbone->statistics();
  parts_.loss->RegisterAverages(statistics);
  const at::Tensor values = FlattenParameters(parts_.backbone->parameters());  // before gradients are attached
  sums_ = std::make_unique<StepSums>(parts_.backbone->parameters(), &statistics, kNumScalars);
  optimizer_ = Optimizer::Create(values, OptimizerOptionsOf(config.optimizer));
}

void Trainer::Enter(const ViewSeat& seat) {
  assert(seat.head != nullptr && seat.all_reduce != nullptr && seat.position < seat.view.workers.size());
  seat_ = seat;
  parts_.loader->Cancel();  // in another view this worker may compute other micro-batches
  requested_ = 0;
  reduced_.reset();
}

std::vector<Trainer::Share> Trainer::ShareOf(const StepPlan& plan) const {
  std::vector<Share> share;
  int64_t first = 0;
  for (uint32_t micro_batch = 0; micro_batch < plan.micro_batch_sizes.size(); ++micro_batch) {
    const int64_t size = plan.micro_batch_sizes[micro_batch];
    if (WorkerOfMicroBatch(micro_batch, seat_.view.workers.size()) == seat_.position)
      share.push_back({micro_batch, first, size});
    first += size;
  }
  return share;
}

absl::Status Trainer::Request(const StepPlan& plan) {
  for (const Share& share : ShareOf(plan)) {
    RETURN_IF_ERROR(
        parts_.loader->Request({plan.epoch, static_cast<int64_t>(plan.first_sample) + share.first_sample, share.size}));
  }
  requested_ = plan.step;
  return absl::OkStatus();
}

absl::Status Trainer::LoadShare(const StepPlan& plan, std::vector<InFlight>* loaded) {
  PhaseTimer timer(&parts_.phases->data_wait, parts_.clock, {.step = plan.step});
  if (requested_ != plan.step) {
    parts_.loader->Cancel();
    RETURN_IF_ERROR(Request(plan));
  }
  if (plan.step < parts_.plan->total_steps()) RETURN_IF_ERROR(Request(parts_.plan->PlanOf(plan.step + 1)));
  for (const Share& share : ShareOf(plan)) {
    ASSIGN_OR_RETURN(std::unique_ptr<LoadedBatch> data, parts_.loader->Next());
    for (const CorruptSample& corrupt : data->corrupt) {
      if (!corrupt_.contains(corrupt.sample)) corrupt_here_.insert(corrupt.sample);
      if (logged_.insert(corrupt.sample).second) LogInfo(absl::StrCat("replaced a record: ", corrupt.reason));
    }
    loaded->push_back(
        {Key{seat_.view.view, plan.step, share.micro_batch}, share.first_sample, std::move(data), {}, {}});
    if (parts_.samples != nullptr) parts_.samples->Add(loaded->back().key, loaded->back().data->samples);
  }
  if (parts_.samples != nullptr) parts_.samples->Flush();
  return absl::OkStatus();
}

// Rounded here, and not on the way to each shard, so that the loss is that of the embedding from which the shards
// compute. The gradient passes as if nothing was rounded (DESIGN §1, On the wire).
at::Tensor Trainer::AsSent(const at::Tensor& embedding) const {
  const at::Tensor values = embedding.detach().cpu().contiguous();
  const WireType wire = WireTypeOf(config_);
  if (wire == WireType::kFloat32) return values;
  at::Tensor rounded = values.clone();  // the backward pass needs the values as they were
  RoundAsSent(wire, absl::MakeSpan(rounded.mutable_data_ptr<float>(), rounded.numel()));
  return rounded;
}

absl::Status Trainer::Forward(InFlight* micro_batch) {
  PhaseTimer timer(&parts_.phases->forward, parts_.clock, DetailsOf(micro_batch->key));
  LoadedBatch& data = *micro_batch->data;
  const int64_t size = static_cast<int64_t>(data.labels.size());
  ForwardContext context;
  context.training = true;
  context.step = plan_.step;
  context.micro_batch = micro_batch->key.micro_batch;
  context.weight = static_cast<double>(size) / plan_.batch_size();
  ASSIGN_OR_RETURN(at::Tensor embedding,
                   parts_.backbone->Forward(
                       Wrap(data.images, {size, 3, config_.data.image_size, config_.data.image_size}), context));
  if (config_.head.standardize) embedding = Standardize(embedding);
  micro_batch->embedding = embedding;
  micro_batch->sent = AsSent(embedding);
  const TraceSpan send(parts_.phases->row, "send", DetailsOf(micro_batch->key));
  seat_.head->SendEmbedding(micro_batch->key, SpanOf<float>(micro_batch->sent));
  return absl::OkStatus();
}

absl::Status Trainer::Backward(InFlight micro_batch) {
  absl::StatusOr<client::SummedStatistics> summed = [&] {
    PhaseTimer timer(&parts_.phases->wait_for_shards, parts_.clock, DetailsOf(micro_batch.key));
    return seat_.head->Await(micro_batch.key);
  }();
  RETURN_IF_ERROR(summed.status());
  const int64_t size = micro_batch.embedding.size(0);
  const int64_t dim = micro_batch.embedding.size(1);
  LossResult result;
  {
    PhaseTimer timer(&parts_.phases->loss, parts_.clock, DetailsOf(micro_batch.key));
    const SoftmaxStatistics statistics{Wrap(summed->z, {size}), Wrap(summed->u, {size, dim}),
                                       Wrap(summed->own_centers, {size, dim})};
    const at::Tensor labels = at::from_blob(micro_batch.data->labels.data(), {size}, at::kLong);
    const double shift = LogitShift(config_.head.scale, seat_.view.num_classes);
    LossContext context;
    context.step = plan_.step;
    context.global_batch = plan_.batch_size();
    context.first_sample = micro_batch.first_sample;
    result = ComputeLoss(micro_batch.sent, labels, statistics, shift, *parts_.loss, context);
    seat_.head->SendGradient(micro_batch.key, SpanOf<float>(result.r), SpanOf<float>(result.t));
    const at::Tensor scalars = sums_->Scalars(sums_->own());
    scalars[kLoss].add_(result.loss);
    scalars[kCosineSum].add_(result.cosine_sum);
    if (!result.finite)
      Blame(absl::StrCat("the loss or its gradient of micro-batch ", micro_batch.key.micro_batch, " is not finite"));
  }
  PhaseTimer timer(&parts_.phases->backward, parts_.clock, DetailsOf(micro_batch.key));
  // There is no graph when every parameter is frozen; then only the head is trained.
  if (micro_batch.embedding.requires_grad())
    micro_batch.embedding.backward(CopyTo(micro_batch.embedding.device(), result.d_embedding));
  parts_.loader->Recycle(std::move(micro_batch.data));
  return absl::OkStatus();
}

void Trainer::Blame(std::string reason) {
  sums_->Scalars(sums_->own())[kNotFinite].add_(1);
  if (blame_.empty()) blame_ = std::move(reason);
}

absl::StatusOr<StepVote> Trainer::Compute(const StepPlan& plan) {
  assert(seat_.head != nullptr);
  plan_ = plan;
  blame_.clear();
  corrupt_here_.clear();
  reduced_.reset();
  sums_->Zero();
  std::vector<InFlight> share;
  RETURN_IF_ERROR(LoadShare(plan, &share));
  // A shard needs all labels before the first embedding (DESIGN §1, sampling).
  for (const InFlight& micro_batch : share) seat_.head->SendLabels(micro_batch.key, micro_batch.data->labels);
  // The shards run pass 1 of a micro-batch while this worker runs the forward pass of the next one.
  std::deque<InFlight> in_flight;
  for (InFlight& micro_batch : share) {
    if (seat_.interruption) RETURN_IF_ERROR(seat_.interruption());
    if (in_flight.size() == config_.cluster.max_in_flight) {
      RETURN_IF_ERROR(Backward(std::move(in_flight.front())));
      in_flight.pop_front();
    }
    RETURN_IF_ERROR(Forward(&micro_batch));
    in_flight.push_back(std::move(micro_batch));
  }
  for (; !in_flight.empty(); in_flight.pop_front()) RETURN_IF_ERROR(Backward(std::move(in_flight.front())));
  return SumAndVote();
}

absl::StatusOr<StepVote> Trainer::SumAndVote() {
  PhaseTimer timer(&parts_.phases->all_reduce, parts_.clock, {.step = plan_.step});
  if (blame_.empty() && !AllFinite(sums_->Gradients(sums_->own()))) {
    Blame("the backbone's gradient is not finite");
  } else if (blame_.empty() && !AllFinite(sums_->Statistics(sums_->own()))) {
    Blame("the batch statistics are not finite");
  }
  {
    const TraceSpan sum(parts_.phases->row, "sum", {.step = plan_.step});
    ASSIGN_OR_RETURN(reduced_, seat_.all_reduce->Sum(sums_->own()));
  }
  const at::Tensor gradient = sums_->Gradients(reduced_);
  const double norm = Norm2(gradient);
  const at::Tensor scalars_here = sums_->Scalars(reduced_).cpu();
  const absl::Span<const float> scalars = SpanOf<float>(scalars_here);
  StepVote vote;
  vote.loss = scalars[kLoss];
  vote.target_cosine = scalars[kCosineSum] / plan_.batch_size();
  vote.finite = scalars[kNotFinite] == 0.0f && std::isfinite(norm) && std::isfinite(vote.loss) &&
                AllFinite(sums_->Statistics(reduced_));
  vote.reason = !blame_.empty() || vote.finite || scalars[kNotFinite] > 0.0f
                    ? blame_
                    : "the sum of the workers' gradients is not finite";
  vote.corrupt_records = corrupt_here_.size();
  if (config_.optimizer.clip_grad_norm > 0.0) ClipGradNorm(norm, config_.optimizer.clip_grad_norm, gradient);
  return vote;
}

absl::Status Trainer::Apply(const Decision& decision) {
  if (decision.step != plan_.step || !reduced_.defined()) {
    return absl::FailedPreconditionError(
        absl::StrCat("a decision about step ", decision.step, ", but the step that waits for one is ", plan_.step));
  }
  PhaseTimer timer(&parts_.phases->optimizer, parts_.clock, {.step = decision.step});
  if (decision.outcome == Outcome::kCommit) {
    optimizer_->Step(sums_->Gradients(reduced_), decision.lr);
    parts_.backbone->statistics().Commit(sums_->Statistics(reduced_));
  } else {
    parts_.backbone->statistics().Discard();
  }
  corrupt_.merge(corrupt_here_);
  reduced_.reset();
  return absl::OkStatus();
}

}  // namespace arcshard::worker
