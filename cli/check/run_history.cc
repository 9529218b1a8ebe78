#include "cli/check/run_history.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/config/compute_fingerprint.h"
#include "common/config/load_config.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

using shard::ReadRecord;
using shard::RecordedStep;

std::string StateText(const StatePoint& point) {
  return absl::StrFormat("the state after step %d of lineage %016x", point.step, point.lineage);
}

class HistoryReader {
 public:
  HistoryReader(FileSystem* files, const std::string& run_folder)
      : files_(files), run_(run_folder), folder_(shard::RecordFolder(run_folder)) {}

  absl::StatusOr<RunHistory> Read() {
    RETURN_IF_ERROR(ListRecords());
    RETURN_IF_ERROR(OpenCheckpoints());
    RETURN_IF_ERROR(FollowBack());
    RETURN_IF_ERROR(FindStart());
    PlaceCheckpoints();
    return std::move(history_);
  }

 private:
  absl::Status ListRecords() {
    const absl::StatusOr<std::vector<FileSystem::Entry>> entries = files_->List(folder_);
    if (!entries.ok() && !absl::IsNotFound(entries.status())) return entries.status();
    for (const FileSystem::Entry& entry : entries.ok() ? *entries : std::vector<FileSystem::Entry>()) {
      if (const auto point = shard::PointOfRecord(entry.name); point.has_value()) recorded_.push_back(*point);
    }
    if (!recorded_.empty()) return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat(folder_, ": has no records; a run keeps them with run.record: true, from its start"));
  }

  absl::Status OpenCheckpoints() {
    ASSIGN_OR_RETURN(const std::vector<CheckpointId> ids, ListCheckpoints(files_, run_));
    if (ids.empty()) {
      return absl::NotFoundError(absl::StrCat(run_, ": has no complete checkpoint, to which its records would lead"));
    }
    for (const CheckpointId& id : ids) {
      const std::string folder = CheckpointFolder(run_, id);
      const absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files_, folder);
      if (!complete_.empty() && !checkpoint.ok()) {
        history_.notes.push_back(absl::StrCat("is not compared: ", checkpoint.status().message()));
        continue;
      }
      RETURN_IF_ERROR(checkpoint.status());  // the newest one is needed
      if (complete_.empty()) history_.newest = checkpoint->manifest();
      complete_.push_back({checkpoint->manifest().state(), folder});
    }
    ASSIGN_OR_RETURN(history_.config, ParseRunConfig(history_.newest.config_yaml,
                                                     absl::StrCat(complete_.front().folder, "/manifest.json"), {}));
    configuration_ = ComputeFingerprint(history_.config);
    return absl::OkStatus();
  }

  absl::Status FollowBack() {
    at_ = complete_.front().point;
    while (at_ != StatePoint{}) {
      const absl::StatusOr<RecordedStep> step = ReadRecord(files_, folder_, at_);
      if (absl::IsNotFound(step.status())) break;
      RETURN_IF_ERROR(step.status());
      RETURN_IF_ERROR(CheckFits(*step));
      history_.steps.push_back(at_);
      at_ = step->before;
    }
    std::reverse(history_.steps.begin(), history_.steps.end());
    history_.start = at_;
    if (!history_.steps.empty()) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat(folder_, ": has no record that leads to the newest checkpoint, ",
                                            complete_.front().folder, ", which is ", StateText(at_)));
  }

  absl::Status CheckFits(const RecordedStep& step) const {
    const Manifest& manifest = history_.newest;
    const std::string path = absl::StrCat(folder_, "/", shard::RecordName(step.record->after));
    const auto other = [&](absl::string_view what) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": was computed with ", what, " than ", complete_.front().folder,
                       " says, and arcshard check follows a history of one configuration"));
    };
    if (step.configuration != configuration_) return other("another configuration");
    if (step.range_ends.back() != manifest.num_classes) return other("another number of classes");
    const shard::MicroBatchRecord& first = step.record->micro_batches[0];
    const auto dim = first.embedding.size() / first.labels.size();
    return static_cast<int64_t>(dim) == manifest.embedding_size ? absl::OkStatus() : other("other dimensions");
  }

  // Where records begin later than the run, there has to be a checkpoint.
  absl::Status FindStart() {
    if (at_ == StatePoint{}) return absl::OkStatus();
    const bool earlier = std::any_of(recorded_.begin(), recorded_.end(),
                                     [this](const StatePoint& point) { return point.step <= at_.step; });
    if (earlier) {
      return absl::NotFoundError(absl::StrCat(folder_, ": has a gap: step ", at_.step + 1, " went on from ",
                                              StateText(at_), ", and no record leads to it"));
    }
    const auto begin =
        std::find_if(complete_.begin(), complete_.end(),
                     [this](const RunHistory::Checkpoint& checkpoint) { return checkpoint.point == at_; });
    if (begin == complete_.end()) {
      return absl::NotFoundError(absl::StrCat(folder_, ": the records begin with step ", at_.step + 1,
                                              ", and no checkpoint of the state before it is left"));
    }
    history_.start_folder = begin->folder;
    return absl::OkStatus();
  }

  void PlaceCheckpoints() {
    for (auto checkpoint = complete_.rbegin(); checkpoint != complete_.rend(); ++checkpoint) {
      const StatePoint& point = checkpoint->point;
      if (point == at_) continue;  // where it starts
      const bool passes = point.step > at_.step && point.step <= history_.steps.back().step &&
                          history_.steps[point.step - at_.step - 1] == point;
      if (passes) {
        history_.checkpoints.push_back(*checkpoint);
      } else {
        history_.notes.push_back(absl::StrCat(PrintableLine(checkpoint->folder),
                                              ": is not compared: it is not on the way to the newest checkpoint"));
      }
    }
  }

  FileSystem* const files_;
  const std::string run_;
  const std::string folder_;  // of the records
  std::vector<StatePoint> recorded_;
  std::vector<RunHistory::Checkpoint> complete_;  // newest first
  uint64_t configuration_ = 0;
  StatePoint at_;  // how far back the way was followed
  RunHistory history_;
};

}  // namespace

absl::StatusOr<RunHistory> OpenHistory(FileSystem* files, const std::string& run_folder) {
  return HistoryReader(files, run_folder).Read();
}

std::string StepsText(uint64_t first, uint64_t last) {
  return first == last ? absl::StrCat("step ", first) : absl::StrCat("steps ", first, " to ", last);
}

}  // namespace arcshard::cli
