#include "shard_server/state/step/open_step.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/state/log/record_applier.h"
#include "shard_server/state/step/bytes.h"

namespace arcshard::shard {
namespace {

absl::Status WrongSize(const char* what, const Key& key, int64_t size, int64_t planned) {
  return absl::InvalidArgumentError(
      absl::StrCat("the ", what, " of ", ToString(key), " has ", size, " samples, the step's plan says ", planned));
}

}  // namespace

void OpenStep::Open(ReplayRecord* record, const head::HeadOptions& options) {
  assert(!record->plan.micro_batch_sizes.empty() && record->groups.empty() && !record->outcome.has_value());
  record_ = record;
  options_ = options;
  if (progress_.size() < num_micro_batches()) progress_.resize(num_micro_batches());
  for (MicroBatchProgress& progress : progress_) {
    progress.stage = Stage::kNothing;
    progress.resend = false;
  }
  queued_.clear();
  all_labels_.clear();
  labelled_ = 0;
  begun_ = false;
  next_in_order_ = 0;
  done_ = 0;
  resends_ = 0;
  voted_ = false;
  gradient_taken_ = false;
  non_finite_.clear();
}

absl::Status OpenStep::Repeat(bool same, const char* what, const Key& key) {
  if (same) {
    ++repeats_;
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat("the ", what, " of ", ToString(key), " came before with other values"));
}

absl::Status OpenStep::AddLabels(const Key& key, absl::Span<const int64_t> labels) {
  assert(key.micro_batch < num_micro_batches());
  MicroBatchProgress& progress = progress_[key.micro_batch];
  MicroBatchRecord& record = record_->micro_batches[key.micro_batch];
  if (progress.stage != Stage::kNothing) {
    return Repeat(SameBytes<int64_t>(record.labels, labels), "labels", key);
  }
  const uint32_t planned = record_->plan.micro_batch_sizes[key.micro_batch];
  if (labels.size() != planned) return WrongSize("labels", key, static_cast<int64_t>(labels.size()), planned);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= options_.num_classes) {
      return absl::InvalidArgumentError(absl::StrCat("label ", labels[i], " of sample ", i, " of ", ToString(key),
                                                     " is outside [0, ", options_.num_classes, ")"));
    }
  }
  record.labels.assign(labels.begin(), labels.end());
  progress.stage = Stage::kLabelled;
  ++labelled_;
  return absl::OkStatus();
}

absl::Status OpenStep::AddEmbedding(const Key& key, uint32_t worker, head::MatrixView<const float> embedding,
                                    uint32_t max_in_flight) {
  assert(key.micro_batch < num_micro_batches());
  MicroBatchProgress& progress = progress_[key.micro_batch];
  MicroBatchRecord& record = record_->micro_batches[key.micro_batch];
  const absl::Span<const float> values(embedding.data, static_cast<size_t>(embedding.size()));
  if (progress.stage >= Stage::kQueued) {
    RETURN_IF_ERROR(Repeat(SameBytes<float>(record.embedding, values), "embedding", key));
    if (progress.stage >= Stage::kSent && !progress.resend) {
      progress.resend = true;
      ++resends_;
    }
    return absl::OkStatus();
  }
  if (progress.stage == Stage::kNothing) {
    return absl::FailedPreconditionError(absl::StrCat("the embedding of ", ToString(key), " came before its labels"));
  }
  const uint32_t planned = record_->plan.micro_batch_sizes[key.micro_batch];
  if (embedding.rows != planned) return WrongSize("embedding", key, embedding.rows, planned);
  if (InFlightOf(worker) >= max_in_flight) {
    return absl::ResourceExhaustedError(absl::StrCat("the embedding of ", ToString(key), " from worker ", worker,
                                                     " is more than the ", max_in_flight,
                                                     " micro-batches that may await their statistics"));
  }
  record.worker = worker;
  record.embedding.assign(values.begin(), values.end());
  // The statistics' memory is allocated here, under the lock; the executor fills it without the lock.
  progress.z.resize(planned);
  progress.u.resize(values.size());
  progress.own_centers.resize(values.size());
  progress.own_rows.reserve(planned);
  progress.own_rows.clear();
  for (uint32_t i = 0; i < planned; ++i) {
    if (options_.range.contains(record.labels[i])) progress.own_rows.push_back(i);
  }
  progress.stage = Stage::kQueued;
  queued_.push_back(key.micro_batch);
  return absl::OkStatus();
}

absl::Status OpenStep::AddGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) {
  assert(key.micro_batch < num_micro_batches());
  MicroBatchProgress& progress = progress_[key.micro_batch];
  MicroBatchRecord& record = record_->micro_batches[key.micro_batch];
  if (progress.stage == Stage::kDone) {
    return Repeat(SameBytes<float>(record.r, r) && SameBytes<float>(record.t, t), "gradient", key);
  }
  if (progress.stage != Stage::kSent) {
    return absl::FailedPreconditionError(
        absl::StrCat("the gradient of ", ToString(key), " came before its statistics were sent"));
  }
  const uint32_t planned = record_->plan.micro_batch_sizes[key.micro_batch];
  if (r.size() != planned) return WrongSize("gradient (r)", key, static_cast<int64_t>(r.size()), planned);
  if (t.size() != planned) return WrongSize("gradient (t)", key, static_cast<int64_t>(t.size()), planned);
  record.r.assign(r.begin(), r.end());
  record.t.assign(t.begin(), t.end());
  if (!AllFinite(r) || !AllFinite(t)) NoteNonFinite("gradient", key.micro_batch);
  progress.stage = Stage::kDone;
  ++done_;
  return absl::OkStatus();
}

bool OpenStep::HasBegin(bool in_order) const {
  if (begun_) return false;
  return samples_classes() ? labelled_ == num_micro_batches() : HasQueued(in_order);
}

absl::Span<const int64_t> OpenStep::TakeBegin() {
  assert(!begun_ && (samples_classes() ? labelled_ == num_micro_batches() : !queued_.empty()));
  begun_ = true;
  if (!samples_classes()) return {};
  AppendLabels(*record_, &all_labels_);
  return all_labels_;
}

bool OpenStep::HasQueued(bool in_order) const {
  if (!in_order) return !queued_.empty();
  return next_in_order_ < num_micro_batches() && progress_[next_in_order_].stage == Stage::kQueued;
}

void OpenStep::TakeGroup(bool in_order, GroupCall* call) {
  assert(HasGroup(in_order));
  call->micro_batches.clear();
  call->inputs.clear();
  call->outputs.clear();
  call->not_finite.clear();
  if (in_order) {
    call->micro_batches.push_back(next_in_order_++);
    queued_.erase(std::find(queued_.begin(), queued_.end(), call->micro_batches.front()));
  } else {
    call->micro_batches.swap(queued_);
  }
  for (const uint32_t i : call->micro_batches) {
    const MicroBatchRecord& record = record_->micro_batches[i];
    MicroBatchProgress& progress = progress_[i];
    progress.stage = Stage::kRunning;
    const int64_t rows = static_cast<int64_t>(record.labels.size());
    call->inputs.push_back({{record.embedding.data(), rows, options_.dim}, record.labels});
    call->outputs.push_back({absl::MakeSpan(progress.z),
                             {progress.u.data(), rows, options_.dim},
                             {progress.own_centers.data(), rows, options_.dim}});
  }
  record_->groups.push_back(call->micro_batches);
}

void OpenStep::FinishGroup(const GroupCall& call) {
  assert(call.not_finite.size() == call.micro_batches.size());
  for (size_t i = 0; i < call.micro_batches.size(); ++i) {
    assert(progress_[call.micro_batches[i]].stage == Stage::kRunning);
    progress_[call.micro_batches[i]].stage = Stage::kSent;
    if (call.not_finite[i] != nullptr) NoteNonFinite(call.not_finite[i], call.micro_batches[i]);
  }
}

void OpenStep::PackOwnCenters(uint32_t i) {
  MicroBatchProgress& progress = progress_[i];
  float* const data = progress.own_centers.data();
  for (size_t to = 0; to < progress.own_rows.size(); ++to) {
    const size_t from = progress.own_rows[to];
    assert(from >= to);  // the rows ascend
    if (from != to) std::copy_n(data + from * options_.dim, options_.dim, data + to * options_.dim);
  }
}

PartialStatistics OpenStep::statistics(uint32_t i) const {
  const MicroBatchProgress& progress = progress_[i];
  return {progress.z,
          {progress.u.data(), static_cast<int64_t>(progress.z.size()), options_.dim},
          progress.own_rows,
          {progress.own_centers.data(), static_cast<int64_t>(progress.own_rows.size()), options_.dim}};
}

bool OpenStep::AwaitsWorker(size_t place, size_t workers, uint32_t max_in_flight) const {
  bool has_more = false;  // whose embeddings have not come
  uint32_t in_flight = 0;
  std::optional<Stage> first;  // of those in flight
  for (uint32_t i = 0; i < num_micro_batches(); ++i) {
    if (WorkerOfMicroBatch(i, workers) != place) continue;
    const Stage stage = progress_[i].stage;
    if (stage == Stage::kNothing) return true;
    if (stage == Stage::kDone) continue;
    if (stage == Stage::kLabelled) {
      has_more = true;
      continue;
    }
    if (in_flight++ == 0) first = stage;
  }
  return first == Stage::kSent || (has_more && in_flight < max_in_flight);
}

uint32_t OpenStep::TakeResend() {
  assert(HasResend());
  uint32_t i = 0;
  while (!progress_[i].resend) ++i;
  progress_[i].resend = false;
  --resends_;
  return i;
}

ReadyVote OpenStep::Vote() {
  assert(ready_to_vote());
  voted_ = true;
  return {.view = record_->view, .step = record_->plan.step, .finite = non_finite_.empty(), .reason = non_finite_};
}

const ReplayRecord* OpenStep::TakeGradient() {
  assert(HasGradient());
  gradient_taken_ = true;
  return record_;
}

size_t OpenStep::in_flight() const {
  size_t count = 0;
  for (size_t i = 0; i < num_micro_batches(); ++i) count += AwaitsStatistics(i);
  return count;
}

uint32_t OpenStep::InFlightOf(uint32_t worker) const {
  uint32_t count = 0;
  for (size_t i = 0; i < num_micro_batches(); ++i)
    count += AwaitsStatistics(i) && record_->micro_batches[i].worker == worker;
  return count;
}

void OpenStep::NoteNonFinite(const char* what, uint32_t micro_batch) {
  if (!non_finite_.empty()) return;
  non_finite_ = absl::StrCat("the ", what, " of micro-batch ", micro_batch, " from worker ",
                             record_->micro_batches[micro_batch].worker, " is not finite");
}

}  // namespace arcshard::shard
