#include "coordinator/policy/decisions.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard::coordinator {
namespace {

constexpr uint64_t kMostSamples = uint64_t{1} << 40;  // a byte of each would fill a terabyte

std::string Missing(uint32_t missing, uint32_t wanted, absl::string_view what) {
  return absl::StrCat(missing, " of ", wanted, " ", what, wanted == 1 ? "" : "s");
}

bool IsFinite(const ReadyVote& vote) { return vote.finite && std::isfinite(vote.loss); }

std::string ReasonOf(const NamedVote& vote) {
  if (!vote.vote.reason.empty()) return absl::StrCat(vote.who, ": ", vote.vote.reason);
  return absl::StrCat(vote.who, ": ", vote.vote.finite ? "the loss is not finite" : "something was not finite");
}

}  // namespace

bool IsIn(const ViewAnnouncement& view, const Seat& seat) {
  const auto has = [id = seat.id](const auto& members) {
    const auto at = std::lower_bound(members.begin(), members.end(), id,
                                     [](const auto& member, uint32_t wanted) { return member.id < wanted; });
    return at != members.end() && at->id == id;
  };
  return seat.role == Role::kShard ? has(view.shards) : has(view.workers);
}

std::string DescribeWaiting(const MemberCounts& counts) {
  std::vector<std::string> parts;
  if (counts.shards_here < counts.shards_wanted) {
    parts.push_back(Missing(counts.shards_wanted - counts.shards_here, counts.shards_wanted, "shard"));
  }
  if (counts.workers_here < counts.workers_wanted) {
    parts.push_back(Missing(counts.workers_wanted - counts.workers_here, counts.workers_wanted, "worker"));
  }
  if (parts.empty() && counts.datasets_here < counts.workers_wanted) {
    return absl::StrCat("waiting for the data set of ",
                        Missing(counts.workers_wanted - counts.datasets_here, counts.workers_wanted, "worker"));
  }
  return parts.empty() ? "" : absl::StrCat("waiting for ", absl::StrJoin(parts, " and "));
}

absl::Status CheckData(const DatasetReport& data) {
  if (data.samples == 0 || data.samples > kMostSamples) {
    return absl::InvalidArgumentError(
        absl::StrCat("reports a data set of ", data.samples, " samples; it must have 1 to ", kMostSamples));
  }
  if (data.classes < 0 || data.classes > static_cast<int64_t>(kMostSamples)) {
    return absl::InvalidArgumentError(
        absl::StrCat("reports a data set of ", data.classes, " classes; it may have 0 to ", kMostSamples));
  }
  return absl::OkStatus();
}

absl::Status CheckSameData(const NamedDataset& first, const NamedDataset& second) {
  const auto differs = [&](absl::string_view what, auto one, auto other) {
    return absl::InvalidArgumentError(absl::StrCat("the workers' data sets under data.train differ in their ", what,
                                                   ": ", first.who, " has ", one, ", ", second.who, " has ", other));
  };
  const DatasetReport& a = first.data;
  const DatasetReport& b = second.data;
  if (a.samples != b.samples) return differs("number of samples", a.samples, b.samples);
  if (a.classes != b.classes) return differs("number of classes", a.classes, b.classes);
  if (a.fingerprint != b.fingerprint) {
    return differs("index (train.idx)", absl::StrCat("fingerprint ", absl::Hex(a.fingerprint, absl::kZeroPad16)),
                   absl::StrCat("fingerprint ", absl::Hex(b.fingerprint, absl::kZeroPad16)));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DecideNumClasses(int64_t configured, int64_t of_data) {
  if (configured > 0 && of_data > configured) {
    return absl::InvalidArgumentError(absl::StrCat(
        "head.classes is ", configured, ", but data.train's property says that its labels have ", of_data, " classes"));
  }
  const int64_t num_classes = configured > 0 ? configured : of_data;
  if (num_classes < 1) {
    return absl::InvalidArgumentError("neither head.classes nor data.train's property says how many classes there are");
  }
  return num_classes;
}

StepVerdict DecideStep(absl::Span<const NamedVote> votes) {
  const auto is_before = [](const NamedVote& a, const NamedVote& b) {
    return std::make_tuple(a.role != Role::kWorker, a.id) < std::make_tuple(b.role != Role::kWorker, b.id);
  };
  StepVerdict verdict;
  const NamedVote* first = nullptr;
  const NamedVote* culprit = nullptr;
  for (const NamedVote& vote : votes) {
    if (first == nullptr || is_before(vote, *first)) first = &vote;
    if (!IsFinite(vote.vote) && (culprit == nullptr || is_before(vote, *culprit))) culprit = &vote;
    if (vote.role == Role::kWorker) verdict.corrupt_records += vote.vote.corrupt_records;
    if (vote.vote.wants_checkpoint) verdict.wants_checkpoint = true;
  }
  if (culprit != nullptr) {
    verdict.outcome = Outcome::kSkip;
    verdict.reason = ReasonOf(*culprit);
    verdict.culprit = culprit->pid;
  }
  if (first != nullptr && first->role == Role::kWorker) {
    verdict.loss = first->vote.loss;
    verdict.target_cosine = first->vote.target_cosine;
  }
  return verdict;
}

NextAction DecideNext(const Standpoint& at) {
  if (at.stop_requested) return NextAction::kStop;
  if (at.evaluation_due) return NextAction::kEvaluate;
  return at.step >= at.total_steps ? NextAction::kStop : NextAction::kStep;
}

}  // namespace arcshard::coordinator
