#include "coordinator/run/checkpoints.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"

namespace arcshard::coordinator {
namespace {

uint64_t BytesOf(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const FileRecord& file : manifest.files) bytes += file.bytes;
  return bytes;
}

std::string Size(uint64_t bytes) { return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20)); }

}  // namespace

Checkpoints::Checkpoints(Options options, RunOutputs* outputs) : options_(std::move(options)), outputs_(outputs) {
  if (!options_.resumed.has_value()) return;
  newest_ = options_.resumed;
  newest_at_ = options_.resumed_at;
  last_asked_ = last_settled_ = newest_->step;
}

bool Checkpoints::Due(uint64_t step, bool ending, bool stopping, MonotonicTime now) const {
  if (!options_.enabled || step == last_asked_) return false;  // the step has had its checkpoint, even if that failed
  if (stopping) return true;
  if (in_progress()) return false;  // a due one waits until the one in progress has ended
  const auto wants = [step](const Waiting& waiting) { return waiting.least_step <= step; };
  if (ending || std::any_of(waiting_.begin(), waiting_.end(), wants)) return true;
  const RunConfig::Checkpoint& config = options_.config;
  if (config.every_steps > 0 && step / config.every_steps > last_asked_ / config.every_steps) return true;
  return config.every_minutes > 0 && now - last_asked_at_ >= absl::Minutes(config.every_minutes);
}

void Checkpoints::Begin(Manifest manifest, std::set<Connection> parts, MonotonicTime now) {
  assert(manifest.step > last_asked_ && !parts.empty());
  last_asked_ = manifest.step;
  last_asked_at_ = now;
  std::string folder = CheckpointFolder(options_.run_folder, {manifest.step, options_.incarnation});
  pending_.push_back({std::move(manifest), std::move(folder), std::move(parts), absl::OkStatus(), now});
}

absl::Status Checkpoints::Add(Connection from, absl::string_view name, const CheckpointReport& report,
                              MonotonicTime now) {
  const auto pending = std::find_if(pending_.begin(), pending_.end(),
                                    [&](const Pending& one) { return one.manifest.step == report.step; });
  if (pending == pending_.end() || !pending->awaited.contains(from)) {
    return absl::FailedPreconditionError(
        absl::StrCat("reported a checkpoint of step ", report.step, ", which it was not asked for"));
  }
  std::vector<FileRecord>& files = pending->manifest.files;
  for (const FileRecord& file : report.files) {
    const bool known = std::any_of(files.begin(), files.end(), [&](const auto& one) { return one.name == file.name; });
    if (known || file.name == kManifestName) {
      return absl::InvalidArgumentError(absl::StrCat("names ", file.name, " as its file of the checkpoint of step ",
                                                     report.step, ", but that file belongs to another part"));
    }
    files.push_back(file);
  }
  if (!report.status.ok() && pending->status.ok()) pending->status = Annotate(report.status, name);
  pending->awaited.erase(from);
  if (pending->awaited.empty()) HandOver(&*pending, now);
  return absl::OkStatus();
}

void Checkpoints::HandOver(Pending* pending, MonotonicTime now) {
  if (!pending->status.ok()) {
    outputs_->push_back(AbandonCheckpoint{pending->folder});
    Settle(pending->manifest.step, pending->status, now);
    return;
  }
  pending->handed_over = true;
  outputs_->push_back(CompleteCheckpoint{pending->folder, pending->manifest});
}

bool Checkpoints::Owes(Connection member) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [member](const Pending& pending) { return pending.awaited.contains(member); });
}

void Checkpoints::Kept(uint64_t step, const absl::Status& status, MonotonicTime now) {
  const auto kept = [step](const Pending& pending) { return pending.manifest.step == step && pending.handed_over; };
  if (std::any_of(pending_.begin(), pending_.end(), kept)) Settle(step, status, now);
}

void Checkpoints::Settle(uint64_t step, absl::Status status, MonotonicTime now) {
  const auto found =
      std::find_if(pending_.begin(), pending_.end(), [step](const Pending& one) { return one.manifest.step == step; });
  assert(found != pending_.end());
  const Pending pending = *std::move(found);
  pending_.erase(found);
  if (step >= last_settled_) {  // the keeper may report an earlier one later
    last_settled_ = step;
    last_status_ = status;
    failure_ = status.ok() ? "" : absl::StrCat("step ", step, ": ", status.message());
  }
  if (status.ok()) {
    newest_ = CheckpointTaken{step, pending.folder};  // the keeper completes them in order
    newest_at_ = now;
  }
  const absl::Duration took = now - pending.asked;
  NoteSettled(pending, status, took);
  outputs_->push_back(
      CheckpointSummary{.step = step, .status = status, .bytes = BytesOf(pending.manifest), .took = took});
  if (status.ok()) {
    AnswerRequests(step, *newest_);
  } else {
    AnswerRequests(step, status);
  }
}

void Checkpoints::NoteSettled(const Pending& pending, const absl::Status& status, absl::Duration took) {
  const uint64_t step = pending.manifest.step;
  if (status.ok()) {
    outputs_->push_back(Note{absl::StrCat(
        "the checkpoint of step ", step, " is complete: ", pending.folder, ", ", Size(BytesOf(pending.manifest)),
        " in ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))),
        failed_in_a_row_ == 0 ? "" : absl::StrCat(", after ", failed_in_a_row_, " that failed"))});
    failed_in_a_row_ = 0;
  } else if (++failed_in_a_row_ == 1) {  // one warning is enough for a disk that stays full
    outputs_->push_back(Note{absl::StrCat(
        "warning: the checkpoint of step ", step, " failed: ", status.message(), "; training continues, and ",
        newest_.has_value() ? absl::StrCat("the newest complete one is ", newest_->folder)
                            : "there is no complete one yet")});
  }
}

uint64_t Checkpoints::oldest_in_progress() const {
  assert(in_progress());
  return pending_.front().manifest.step;
}

void Checkpoints::Request(uint64_t least_step, CheckpointAnswer answer) {
  if (newest_.has_value() && newest_->step >= least_step) {
    outputs_->push_back(AnswerCheckpoint{std::move(answer), *newest_});
  } else {
    waiting_.push_back({least_step, std::move(answer)});
  }
}

void Checkpoints::EndRequests(const absl::Status& status) {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    outputs_->push_back(AnswerCheckpoint{std::move(waiting.answer), status});
  }
}

void Checkpoints::AnswerRequests(uint64_t step, const absl::StatusOr<CheckpointTaken>& taken) {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    if (waiting.least_step <= step) {
      outputs_->push_back(AnswerCheckpoint{std::move(waiting.answer), taken});
    } else {
      waiting_.push_back(std::move(waiting));
    }
  }
}

absl::Status Checkpoints::Outcome(uint64_t step) const {
  if (last_settled_ != step || last_status_.ok()) return absl::OkStatus();
  return absl::Status(last_status_.code(),
                      absl::StrCat("the run has ended after step ", step,
                                   ", but its last checkpoint failed: ", last_status_.message(), "; ",
                                   newest_.has_value() ? absl::StrCat("the newest complete one is ", newest_->folder)
                                                       : "there is no complete one"));
}

}  // namespace arcshard::coordinator
