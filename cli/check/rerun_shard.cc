#include "cli/check/rerun_shard.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

constexpr int64_t kBlockValues = int64_t{1} << 18;

// Gives the classes of `to` the rows of `from`, whose range contains them.
absl::Status CopyRows(const head::Head& from, head::Head* to) {
  const head::HeadOptions& options = to->options();
  const int64_t rows = std::max<int64_t>(1, kBlockValues / options.dim);
  std::vector<float> values;
  std::vector<uint32_t> counts;
  for (int64_t begin = options.range.begin; begin < options.range.end; begin += rows) {
    const ClassRange block{begin, std::min(begin + rows, options.range.end)};
    values.resize(static_cast<size_t>(block.size() * options.dim));
    const head::MatrixView<float> matrix{values.data(), block.size(), options.dim};
    const head::MatrixView<const float> copied{values.data(), block.size(), options.dim};
    RETURN_IF_ERROR(from.ReadWeights(block, matrix));
    RETURN_IF_ERROR(to->WriteWeights(block, copied));
    for (int moment = 0; moment < options.num_moments(); ++moment) {
      RETURN_IF_ERROR(from.ReadMoment(moment, block, matrix));
      RETURN_IF_ERROR(to->WriteMoment(moment, block, copied));
    }
    if (head::HeldBytes(options, head::RowPart::kCounts) == 0) continue;
    counts.resize(static_cast<size_t>(block.size()));
    RETURN_IF_ERROR(from.ReadCounts(block, absl::MakeSpan(counts)));
    RETURN_IF_ERROR(to->WriteCounts(block, counts));
  }
  return absl::OkStatus();
}

}  // namespace

// Calls the state machine directly. A refused message ends the link, as it does over gRPC.
class RerunShard::InProcessLink final : public client::ShardLink {
 public:
  InProcessLink(RerunShard* shard, uint32_t worker, size_t index, client::ShardLinkEvents* events)
      : shard_(shard), worker_(worker), index_(index), events_(events) {}
  ~InProcessLink() override { shard_->Unlink(worker_); }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    Check(shard_->state_.Labels(worker_, key, labels));
  }
  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    const int64_t dim = shard_->head_->options().dim;
    Check(
        shard_->state_.Embedding(worker_, key, {embedding.data(), static_cast<int64_t>(embedding.size()) / dim, dim}));
  }
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) override {
    Check(shard_->state_.Gradient(worker_, key, r, t));
  }

 private:
  void Check(const absl::Status& status) {
    if (!status.ok()) events_->OnLost(index_, status);
  }

  RerunShard* const shard_;
  const uint32_t worker_;
  const size_t index_;
  client::ShardLinkEvents* const events_;
};

absl::StatusOr<std::unique_ptr<RerunShard>> RerunShard::Create(const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head,
                   head::Head::Create(options.head, std::numeric_limits<int64_t>::max()));
  return std::unique_ptr<RerunShard>(new RerunShard(options, std::move(head)));
}

RerunShard::RerunShard(const Options& options, std::unique_ptr<head::Head> head)
    : options_(options), head_(std::move(head)), state_(options.state, static_cast<ShardOutput*>(this)) {}

RerunShard::~RerunShard() = default;

absl::Status RerunShard::Join(const ViewAnnouncement& view) {
  RETURN_IF_ERROR(state_.JoinView(view, head_.get()));
  executor_.emplace(&state_, [this](const absl::Status& status) { Fail(status); });
  MutexLock lock(&mutex_);
  while (!joined_ && failure_.ok()) changed_.Wait(&mutex_);
  return failure_;
}

std::unique_ptr<client::ShardLink> RerunShard::Link(uint32_t worker, size_t index, client::ShardLinkEvents* events) {
  MutexLock lock(&mutex_);
  listeners_[worker] = {index, events};
  return std::make_unique<InProcessLink>(this, worker, index, events);
}

void RerunShard::Unlink(uint32_t worker) {
  MutexLock lock(&mutex_);
  listeners_.erase(worker);
}

absl::Status RerunShard::Begin(const View& view, const StepPlan& plan) {
  const Next next{.action = NextAction::kStep, .plan = plan};
  bool first;
  {
    MutexLock lock(&mutex_);
    first = !std::exchange(installed_, true);
  }
  return first ? state_.Install({.view = view, .next = next}) : state_.Proceed({.view = view, .next = next});
}

absl::Status RerunShard::Decide(const Decision& decision) {
  {
    MutexLock lock(&mutex_);
    while (voted_ < decision.step && failure_.ok()) changed_.Wait(&mutex_);
    RETURN_IF_ERROR(failure_);
  }
  RETURN_IF_ERROR(state_.Decide(decision));
  MutexLock lock(&mutex_);
  while (applied_ < decision.step && failure_.ok()) changed_.Wait(&mutex_);
  return failure_;
}

void RerunShard::SendStatistics(uint32_t worker, const Key& key, const shard::PartialStatistics& statistics) {
  const auto copy = [](head::MatrixView<const float> matrix) {
    return std::vector<float>(matrix.data, matrix.data + matrix.size());
  };
  client::ShardStatistics answer{{statistics.z.begin(), statistics.z.end()},
                                 copy(statistics.u),
                                 {statistics.own_rows.begin(), statistics.own_rows.end()},
                                 copy(statistics.own_centers)};
  RoundAsSent(options_.wire, absl::MakeSpan(answer.u));
  RoundAsSent(options_.wire, absl::MakeSpan(answer.own_centers));
  MutexLock lock(&mutex_);
  const auto listener = listeners_.find(worker);
  if (listener != listeners_.end()) listener->second.second->OnStatistics(listener->second.first, key, &answer);
}

void RerunShard::Refuse(uint32_t worker, const Key&, const absl::Status& why) {
  MutexLock lock(&mutex_);
  const auto listener = listeners_.find(worker);
  if (listener != listeners_.end()) listener->second.second->OnLost(listener->second.first, why);
}

void RerunShard::VoteReady(const ReadyVote& vote) {
  MutexLock lock(&mutex_);
  voted_ = vote.step;
  changed_.NotifyAll();
}

void RerunShard::TakeCheckpoint(const View&, uint64_t) {}  // nobody asks for one

void RerunShard::Applied(uint64_t step, Outcome) {
  MutexLock lock(&mutex_);
  applied_ = step;
  changed_.NotifyAll();
}

absl::Status RerunShard::RestoreBase(const ViewAnnouncement&) { return CopyRows(*options_.whole, head_.get()); }

void RerunShard::RequestReplay(const ViewAnnouncement& view, uint32_t, const StatePoint&, uint64_t) {
  state_.ReplayEnded(view.view, absl::NotFoundError("the view's base is its state"));
}

void RerunShard::Joined(const JoinedReport&) {
  MutexLock lock(&mutex_);
  joined_ = true;
  changed_.NotifyAll();
}

void RerunShard::LostPeers(const LostPeersReport& report) { Fail(absl::InternalError(report.sentence)); }

void RerunShard::Fail(const absl::Status& status) {
  MutexLock lock(&mutex_);
  failure_ = status;
  changed_.NotifyAll();
  for (const auto& [worker, listener] : listeners_) listener.second->OnLost(listener.first, status);
}

}  // namespace arcshard::cli
