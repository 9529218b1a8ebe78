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

// Logs stay beyond half of their bound until a checkpoint is complete. On a disk that stays full one attempt follows
// another no sooner than this.
constexpr absl::Duration kWantedAgainAfter = absl::Minutes(1);

uint64_t BytesOf(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const FileRecord& file : manifest.files) bytes += file.bytes;
  return bytes;
}

std::string Size(uint64_t bytes) { return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20)); }

}  // namespace

Checkpoints::Checkpoints(Options options, RunOutputs* outputs) : options_(std::move(options)), outputs_(outputs) {
  if (!options_.resumed.has_value()) return;
  base_ = *options_.resumed;
  base_at_ = options_.resumed_at;
  last_asked_ = last_settled_.first = base_.point.step;
}

void Checkpoints::Start(MonotonicTime now) {
  if (last_asked_at_ == MonotonicTime::InfiniteFuture()) last_asked_at_ = now;
}

bool Checkpoints::Due(uint64_t step, const Occasion& occasion, MonotonicTime now) const {
  if (!options_.enabled || step == last_asked_) return false;  // the step has had its checkpoint, even if that failed
  if (occasion.stopping) return true;
  if (in_progress()) return false;  // a due one waits until the one in progress has ended
  const auto wants = [step](const Waiting& waiting) { return waiting.least_step <= step; };
  if (occasion.ending || std::any_of(waiting_.begin(), waiting_.end(), wants)) return true;
  if (occasion.wanted && now - failed_at_ >= kWantedAgainAfter) return true;
  const RunConfig::Checkpoint& config = options_.config;
  if (config.every_steps > 0 && step / config.every_steps > last_asked_ / config.every_steps) return true;
  return config.every_minutes > 0 && now - last_asked_at_ >= absl::Minutes(config.every_minutes);
}

void Checkpoints::Begin(Manifest manifest, const View& view, std::set<Seat> parts, MonotonicTime now) {
  assert(manifest.step > last_asked_ && !parts.empty());
  std::string folder = CheckpointFolder(options_.run_folder, {manifest.step, view.incarnation, view.counter});
  Pending pending{.manifest = std::move(manifest),
                  .view = view,
                  .folder = std::move(folder),
                  .awaited = std::move(parts),
                  .asked = now,
                  .asked_before = last_asked_,
                  .asked_before_at = last_asked_at_};
  last_asked_ = pending.manifest.step;
  last_asked_at_ = now;
  pending_.push_back(std::move(pending));
}

// --- Parts

bool Checkpoints::Awaits(const Seat& from, uint64_t step, const View& view) const {
  return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& one) {
    return one.order() == Order(step, view) && one.awaited.contains(from);
  });
}

absl::Status Checkpoints::Add(const Seat& from, absl::string_view name, const CheckpointReport& report,
                              MonotonicTime now) {
  const auto pending = std::find_if(pending_.begin(), pending_.end(),
                                    [&](const Pending& one) { return one.order() == Order(report.step, report.view); });
  assert(pending != pending_.end() && pending->awaited.contains(from));
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
  if (pending->awaited.empty()) HandOver(pending, now);
  return absl::OkStatus();
}

bool Checkpoints::Owes(const Seat& member) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&member](const Pending& pending) { return pending.awaited.contains(member); });
}

void Checkpoints::Lose(const Seat& member, absl::string_view name, MonotonicTime now) {
  const auto owed = [&member](const Pending& pending) { return pending.awaited.contains(member); };
  for (auto one = pending_.begin(); (one = std::find_if(pending_.begin(), pending_.end(), owed)) != pending_.end();) {
    if (one->status.ok())
      one->status = absl::UnavailableError(absl::StrCat(name, " was lost before it wrote its part"));
    one->lost_a_part = true;
    if (one->manifest.step == last_asked_) {
      last_asked_ = one->asked_before;
      last_asked_at_ = one->asked_before_at;
    }
    one->awaited.erase(member);
    if (one->awaited.empty()) HandOver(one, now);
  }
}

void Checkpoints::HandOver(Iterator pending, MonotonicTime now) {
  if (!pending->status.ok()) {
    const absl::Status status = pending->status;  // Settle removes *pending
    outputs_->push_back(AbandonCheckpoint{pending->folder});
    Settle(pending, status, now);
    return;
  }
  pending->handed_over = true;
  outputs_->push_back(CompleteCheckpoint{pending->folder, pending->manifest});
}

// --- Ends

void Checkpoints::Kept(uint64_t step, const absl::Status& status, MonotonicTime now) {
  const auto kept = std::find_if(pending_.begin(), pending_.end(), [step](const Pending& pending) {
    return pending.manifest.step == step && pending.handed_over;
  });
  if (kept != pending_.end()) Settle(kept, status, now);
}

void Checkpoints::Settle(Iterator found, const absl::Status& status, MonotonicTime now) {
  const Pending pending = std::move(*found);
  pending_.erase(found);
  const uint64_t step = pending.manifest.step;
  if (pending.order() >= last_settled_) {  // an earlier one may end later
    last_settled_ = pending.order();
    last_status_ = status;
    failure_ = status.ok() ? "" : absl::StrCat("step ", step, ": ", status.message());
  }
  if (status.ok()) {
    base_ = CheckpointBase::Of(pending.folder, pending.manifest);  // the keeper completes them in order
    base_at_ = now;
  } else if (!pending.lost_a_part) {
    failed_at_ = now;
  }
  const absl::Duration took = now - pending.asked;
  NoteSettled(pending, status, took);
  outputs_->push_back(
      CheckpointSummary{.step = step, .status = status, .bytes = BytesOf(pending.manifest), .took = took});
  settled_.push_back({{step, pending.manifest.lineage}, status.ok()});
  if (status.ok()) {
    AnswerRequests(step, CheckpointTaken{step, pending.folder});
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
        base_.folder.empty() ? "there is no complete one yet"
                             : absl::StrCat("the newest complete one is ", base_.folder))});
  }
}

void Checkpoints::RollBack() {
  assert(!MayComplete());
  last_asked_ = std::min(last_asked_, base_.point.step);
}

bool Checkpoints::MayComplete() const {
  return std::any_of(pending_.begin(), pending_.end(), [](const Pending& pending) { return pending.status.ok(); });
}

uint64_t Checkpoints::oldest_in_progress() const {
  assert(in_progress());
  return pending_.front().manifest.step;
}

void Checkpoints::Request(uint64_t least_step, CheckpointAnswer answer) {
  if (!base_.folder.empty() && base_.point.step >= least_step) {
    outputs_->push_back(AnswerCheckpoint{std::move(answer), CheckpointTaken{base_.point.step, base_.folder}});
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
  if (last_settled_.first != step || last_status_.ok()) return absl::OkStatus();
  return absl::Status(last_status_.code(),
                      absl::StrCat("the run has ended after step ", step,
                                   ", but its last checkpoint failed: ", last_status_.message(), "; ",
                                   base_.folder.empty() ? "there is no complete one"
                                                        : absl::StrCat("the newest complete one is ", base_.folder)));
}

}  // namespace arcshard::coordinator
