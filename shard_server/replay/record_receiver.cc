#include "shard_server/replay/record_receiver.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/protocol/lineage.h"
#include "common/rpc/convert/convert.h"

namespace arcshard::shard {
namespace {

absl::Status CheckPlan(const StepPlan& plan, uint64_t step, uint32_t batch_size) {
  if (plan.step != step) {
    return absl::InvalidArgumentError(
        absl::StrCat("the record of step ", plan.step, " came, but that of step ", step, " is the next"));
  }
  if (plan.batch_size() > batch_size) {
    return absl::InvalidArgumentError(absl::StrCat("the record of step ", plan.step, " has ", plan.batch_size(),
                                                   " samples, the run has at most ", batch_size));
  }
  return absl::OkStatus();
}

// Copies the groups into `record`, whose plan is known.
absl::Status TakeGroups(const v1::RecordHeader& header, ReplayRecord* record) {
  const size_t micro_batches = record->plan.micro_batch_sizes.size();
  const std::string groups_of = absl::StrCat("the groups of step ", record->plan.step);
  std::vector<bool> seen(micro_batches);
  size_t grouped = 0;
  for (const v1::RecordHeader::Group& group : header.groups()) {
    if (group.micro_batches().empty()) return absl::InvalidArgumentError(absl::StrCat(groups_of, " have an empty one"));
    for (const uint32_t micro_batch : group.micro_batches()) {
      if (micro_batch >= micro_batches || seen[micro_batch]) {
        return absl::InvalidArgumentError(
            absl::StrCat(groups_of, " name micro-batch ", micro_batch,
                         micro_batch < micro_batches ? " twice" : ", which is not there"));
      }
      seen[micro_batch] = true;
      ++grouped;
    }
    record->groups.emplace_back(group.micro_batches().begin(), group.micro_batches().end());
  }
  if (grouped != micro_batches && record->outcome == Outcome::kCommit) {
    return absl::InvalidArgumentError(
        absl::StrCat(groups_of, " name ", grouped, " of its ", micro_batches, " micro-batches"));
  }
  return absl::OkStatus();
}

// Copies the workers into `record`.
absl::Status TakeWorkers(const v1::RecordHeader& header, ReplayRecord* record) {
  record->workers.assign(header.workers().begin(), header.workers().end());
  const std::vector<uint32_t>& workers = record->workers;
  const auto disorder = std::adjacent_find(workers.begin(), workers.end(), std::greater_equal<>());
  if (!workers.empty() && disorder == workers.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the record of step ", record->plan.step, " names no workers, or not in the order of their ids"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ReplayRecord>> RecordReceiver::Add(const v1::ReplayPiece& message) {
  switch (message.piece_case()) {
    case v1::ReplayPiece::kHeader:
      RETURN_IF_ERROR(TakeHeader(message.header()));
      return nullptr;
    case v1::ReplayPiece::kInputs:
      RETURN_IF_ERROR(TakeInputs(message.inputs()));
      return nullptr;
    case v1::ReplayPiece::kEmbedding:
      RETURN_IF_ERROR(TakeEmbedding(message.embedding()));
      break;
    default:
      return absl::InvalidArgumentError("a message of a replay is empty");
  }
  if (begun_ || micro_batch_ < record_->plan.micro_batch_sizes.size()) return nullptr;
  after_ = record_->after;
  return std::move(record_);
}

absl::Status RecordReceiver::TakeHeader(const v1::RecordHeader& header) {
  if (record_ != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the record of step ", record_->plan.step, " is incomplete, but another one begins"));
  }
  ASSIGN_OR_RETURN(const StepPlan plan, FromProto(header.plan()));
  RETURN_IF_ERROR(CheckPlan(plan, after_.step + 1, limits_.batch_size));
  const std::string record_of = absl::StrCat("the record of step ", plan.step);
  if (header.outcome() != v1::Decision::OUTCOME_COMMIT && header.outcome() != v1::Decision::OUTCOME_SKIP) {
    return absl::InvalidArgumentError(
        absl::StrCat(record_of, " has the outcome ", static_cast<int>(header.outcome()), ", which is not known"));
  }
  if (!std::isfinite(static_cast<float>(header.lr())) || header.lr() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(record_of, " has a learning rate of ", header.lr()));
  }
  Decision decision{.view = FromProto(header.view()), .step = plan.step, .lr = header.lr(), .next = {}};
  decision.outcome = header.outcome() == v1::Decision::OUTCOME_COMMIT ? Outcome::kCommit : Outcome::kSkip;
  decision.lineage = ExtendLineage(after_.lineage, decision);
  if (decision.lineage != header.lineage()) {
    return absl::DataLossError(absl::StrCat(record_of, " names the lineage ", absl::Hex(header.lineage()),
                                            ", but its decision leads to ", absl::Hex(decision.lineage)));
  }
  auto record = std::make_shared<ReplayRecord>();
  record->Reset(decision.view, plan);
  record->outcome = decision.outcome;
  record->lr = decision.lr;
  record->after = decision.after();
  RETURN_IF_ERROR(TakeGroups(header, record.get()));
  RETURN_IF_ERROR(TakeWorkers(header, record.get()));
  record_ = std::move(record);
  micro_batch_ = 0;
  begun_ = false;
  return absl::OkStatus();
}

absl::Status RecordReceiver::TakeInputs(const v1::RecordInputs& inputs) {
  if (record_ == nullptr) return absl::InvalidArgumentError("inputs came without the header of their record");
  const std::string place = absl::StrCat("step ", record_->plan.step, ", micro-batch ", micro_batch_);
  if (begun_ && has_inputs()) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": other inputs came before it was complete"));
  }
  const uint32_t owner =
      record_->workers[WorkerOfMicroBatch(static_cast<uint32_t>(micro_batch_), record_->workers.size())];
  if (inputs.worker() != owner) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, ": came from worker ", inputs.worker(), ", but it is worker ", owner, "'s"));
  }
  if (!begun_) BeginMicroBatch(owner);
  if (inputs.has_labels()) RETURN_IF_ERROR(Annotate(labels_->Add(inputs.labels()), place));
  if (inputs.has_r()) RETURN_IF_ERROR(Annotate(r_->Add(inputs.r()), place));
  if (inputs.has_t()) RETURN_IF_ERROR(Annotate(t_->Add(inputs.t()), place));
  if (!has_inputs()) return absl::OkStatus();
  for (const int64_t label : current().labels) {
    if (label < 0 || label >= limits_.num_classes) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ": the label ", label, " is outside [0, ", limits_.num_classes, ")"));
    }
  }
  return absl::OkStatus();
}

absl::Status RecordReceiver::TakeEmbedding(const v1::Tensor& piece) {
  if (record_ == nullptr) return absl::InvalidArgumentError("an embedding came without the header of its record");
  const std::string place = absl::StrCat("step ", record_->plan.step, ", micro-batch ", micro_batch_);
  if (!has_inputs()) return absl::InvalidArgumentError(absl::StrCat(place, ": the embedding came before the inputs"));
  RETURN_IF_ERROR(Annotate(embedding_->Add(piece), place));
  if (!embedding_->complete()) return absl::OkStatus();
  begun_ = false;
  ++micro_batch_;
  return absl::OkStatus();
}

void RecordReceiver::BeginMicroBatch(uint32_t worker) {
  MicroBatchRecord& inputs = current();
  const int64_t samples = record_->plan.micro_batch_sizes[micro_batch_];
  inputs.worker = worker;
  inputs.labels.resize(static_cast<size_t>(samples));
  inputs.r.resize(static_cast<size_t>(samples));
  inputs.t.resize(static_cast<size_t>(samples));
  inputs.embedding.resize(static_cast<size_t>(samples * limits_.dim));
  labels_.emplace("labels", std::vector<int64_t>{samples}, absl::MakeSpan(inputs.labels));
  r_.emplace("gradient (r)", std::vector<int64_t>{samples}, absl::MakeSpan(inputs.r));
  t_.emplace("gradient (t)", std::vector<int64_t>{samples}, absl::MakeSpan(inputs.t));
  embedding_.emplace("embedding", std::vector<int64_t>{samples, limits_.dim}, absl::MakeSpan(inputs.embedding));
  begun_ = true;
}

}  // namespace arcshard::shard
