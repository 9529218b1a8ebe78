#include "shard_server/head/checked_head.h"

#include <cassert>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {

CheckedHead::CheckedHead(const HeadOptions& options) : options_(options) { assert(CheckOptions(options).ok()); }

// --- a step

absl::Status CheckedHead::Begin(uint64_t step, absl::Span<const int64_t> labels) {
  if (step_ != 0) return absl::FailedPreconditionError(absl::StrCat("step ", step_, " is in hand"));
  RETURN_IF_ERROR(CheckBegin(options_, step, labels));
  if (sampled()) labels_.Assign(labels);
  RETURN_IF_ERROR(DoBegin(step, labels_));
  step_ = step;
  return absl::OkStatus();
}

absl::Status CheckedHead::Forward(absl::Span<const ForwardInput> group, absl::Span<const ForwardOutput> outputs) {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  RETURN_IF_ERROR(CheckForward(options_, group, outputs));
  if (sampled()) {
    for (size_t m = 0; m < group.size(); ++m) RETURN_IF_ERROR(CheckAnnounced(labels_, step_, m, group[m].labels));
  }
  RETURN_IF_ERROR(DoForward(group, outputs));
  forward_samples_.push_back(SamplesOf(group));
  return absl::OkStatus();
}

absl::Status CheckedHead::CheckGroups(absl::Span<const Group> groups) const {
  if (step_ == 0) return absl::FailedPreconditionError("no step was begun");
  const bool replayed = forward_samples_.empty();
  if (!replayed && groups.size() != forward_samples_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the update has ", groups.size(), " groups, but Forward took ", forward_samples_.size(),
                     " in step ", step_, ": it must take all of them, or none where a recorded step is replayed"));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    absl::Status status = CheckUpdateGroup(options_, groups[g]);
    for (size_t m = 0; sampled() && m < groups[g].size(); ++m) {
      status.Update(CheckAnnounced(labels_, step_, m, groups[g][m].forward.labels));
    }
    RETURN_IF_ERROR(Annotate(status, absl::StrCat("group ", g)));
    if (const int64_t samples = SamplesOf(groups[g]); !replayed && samples != forward_samples_[g]) {
      return absl::InvalidArgumentError(absl::StrCat("group ", g, " of the update has ", samples,
                                                     " samples, but Forward took ", forward_samples_[g], " with it"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckedHead::FormGradient(absl::Span<const Group> groups, absl::FunctionRef<bool()> stop) {
  RETURN_IF_ERROR(CheckGroups(groups));
  return DoFormGradient(groups, stop);
}

absl::Status CheckedHead::Update(absl::Span<const Group> groups, float lr) {
  RETURN_IF_ERROR(CheckGroups(groups));
  if (!std::isfinite(lr)) return absl::InvalidArgumentError(absl::StrCat("the learning rate is ", lr));
  RETURN_IF_ERROR(DoUpdate(groups, lr));
  Discard();
  return absl::OkStatus();
}

void CheckedHead::Discard() {
  DoDiscard();
  forward_samples_.clear();
  step_ = 0;
}

// --- rows in and out

absl::Status CheckedHead::ReadWeights(ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckRows(options_, range, out));
  return DoReadWeights(RowOf(range), out);
}

absl::Status CheckedHead::ReadMoment(int moment, ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckMoment(options_, moment));
  RETURN_IF_ERROR(CheckRows(options_, range, out));
  return DoReadMoment(moment, RowOf(range), out);
}

absl::Status CheckedHead::WriteWeights(ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckRows(options_, range, rows));
  if (step_ != 0) {
    return absl::FailedPreconditionError(
        "weights can't be written while a step is in hand: pass 2 would see other exponentials than pass 1");
  }
  return DoWriteWeights(RowOf(range), rows);
}

absl::Status CheckedHead::WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckMoment(options_, moment));
  RETURN_IF_ERROR(CheckRows(options_, range, rows));
  return DoWriteMoment(moment, RowOf(range), rows);
}

absl::Status CheckedHead::ReadCounts(ClassRange range, absl::Span<uint32_t> out) const {
  RETURN_IF_ERROR(CheckCounts(options_, range, static_cast<int64_t>(out.size())));
  return DoReadCounts(RowOf(range), out);
}

absl::Status CheckedHead::WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) {
  RETURN_IF_ERROR(CheckCounts(options_, range, static_cast<int64_t>(counts.size())));
  return DoWriteCounts(RowOf(range), counts);
}

absl::Status CheckedHead::ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const {
  RETURN_IF_ERROR(CheckHeld(options_, part, range, out.size()));
  if (out.empty()) return absl::OkStatus();
  return DoReadHeld(part, RowOf(range), out);
}

}  // namespace arcshard::head
