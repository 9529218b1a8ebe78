#include "cli/check/check_run.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/check/finding.h"
#include "cli/check/head_check.h"
#include "cli/check/rerun.h"
#include "cli/check/run_history.h"
#include "cli/check/state_check.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/text/printable_text.h"
#include "shard_server/record/record_file.h"

namespace arcshard::cli {
namespace {

class RunCheck {
 public:
  RunCheck(FileSystem* files, const CheckOptions& options, const std::function<absl::Status(absl::string_view)>& print)
      : files_(files), options_(options), print_(print) {}

  absl::StatusOr<bool> Check() {
    ASSIGN_OR_RETURN(history_, OpenHistory(files_, options_.run));
    ASSIGN_OR_RETURN(head_, HeadCheck::Create(files_, &history_));
    RETURN_IF_ERROR(Introduce());
    if (history_.config.run.deterministic) {
      ASSIGN_OR_RETURN(rerun_, Rerun::Create({.history = &history_, .data = options_.data, .clock = &clock_}));
    }
    auto checkpoint = history_.checkpoints.begin();
    for (const StatePoint& point : history_.steps) {
      RETURN_IF_ERROR(Follow(point));
      if (checkpoint == history_.checkpoints.end() || checkpoint->point != point) continue;
      RETURN_IF_ERROR(Compare(checkpoint->folder));
      ++checkpoint;
    }
    RETURN_IF_ERROR(Conclude());
    return equal_;
  }

 private:
  absl::Status Introduce() {
    const uint64_t first = history_.start.step + 1, last = history_.steps.back().step;
    RETURN_IF_ERROR(print_(
        absl::StrCat(PrintableLine(options_.run), ": ", StepsText(first, last), " from ",
                     history_.start_folder.empty() ? "the first weights" : PrintableLine(history_.start_folder), ", ",
                     history_.newest.num_classes, " classes × ", history_.newest.embedding_size, " dimensions")));
    for (const std::string& note : history_.notes) RETURN_IF_ERROR(print_(note));
    if (history_.config.run.deterministic) return absl::OkStatus();
    return print_(
        "run.deterministic is off: the backbone cannot be computed again, because nobody knows the order of its sums; "
        "and as shards may have multiplied other groups of micro-batches than the records name, the last bits of their "
        "class centers may differ too");
  }

  // Carries out the step that leads to `point`.
  absl::Status Follow(const StatePoint& point) {
    ASSIGN_OR_RETURN(const shard::RecordedStep step,
                     shard::ReadRecord(files_, shard::RecordFolder(options_.run), point));
    views_.insert(step.record->view);
    if (rerun_ != nullptr) {
      ASSIGN_OR_RETURN(const std::string difference, rerun_->Step(step, *head_->head()));
      if (!difference.empty()) {
        rerun_.reset();
        RETURN_IF_ERROR(Print({"the backbone, run again", difference}));
      }
    }
    return head_->Replay(*step.record);
  }

  absl::Status Compare(const std::string& folder) {
    ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files_, folder));
    for (const Finding& finding : head_->Compare(checkpoint)) RETURN_IF_ERROR(Print(finding));
    if (rerun_ == nullptr) return absl::OkStatus();
    for (const Finding& finding : CompareState(checkpoint, rerun_->state())) RETURN_IF_ERROR(Print(finding));
    return absl::OkStatus();
  }

  absl::Status Conclude() {
    if (rerun_ != nullptr) {
      const uint64_t last = history_.steps.back().step;
      RETURN_IF_ERROR(
          Print({absl::StrCat("labels, embeddings, r and t of ", StepsText(history_.start.step + 1, last),
                              ", computed again in ", views_.size(), views_.size() == 1 ? " view" : " views"),
                 ""}));
      const std::optional<Finding> model = CompareFinalBackbone(options_.run, last, *rerun_->state().backbone);
      RETURN_IF_ERROR(model.has_value() ? Print(*model)
                                        : print_("model/: has no backbone of the newest checkpoint's step"));
    }
    return print_(equal_ ? "every bit is what the records lead to" : "the run is not what its records lead to");
  }

  absl::Status Print(const Finding& finding) {
    equal_ = equal_ && finding.equal();
    return print_(
        absl::StrCat(PrintableLine(finding.what), ": ", finding.equal() ? "equal" : PrintableLine(finding.difference)));
  }

  FileSystem* const files_;
  const CheckOptions options_;
  const std::function<absl::Status(absl::string_view)> print_;
  const SystemClock clock_;
  RunHistory history_;
  std::unique_ptr<HeadCheck> head_;
  std::unique_ptr<Rerun> rerun_;  // null: without run.deterministic, and after a difference
  std::set<View> views_;
  bool equal_ = true;
};

}  // namespace

absl::StatusOr<bool> CheckRun(FileSystem* files, const CheckOptions& options,
                              const std::function<absl::Status(absl::string_view)>& print) {
  return RunCheck(files, options, print).Check();
}

}  // namespace arcshard::cli
