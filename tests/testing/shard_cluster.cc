#include "tests/testing/shard_cluster.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "client/grpc_shard_link.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/token.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/lineage.h"
#include "common/rpc/endpoint.h"
#include "shard_server/checkpoint/first_rows.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/head/testing/test_device.h"
#include "shard_server/replay/replay_client.h"
#include "shard_server/service/shard_service.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_output.h"

namespace arcshard {
namespace {

// One shard: the parts of arcshard-shard without the stream to the coordinator.
class TestShard final : public shard::ShardOutput {
 public:
  struct Options {
    head::HeadOptions head;
    shard::ShardState::Options state;
    WireType wire = WireType::kFloat32;
    std::string run_folder;
    std::function<TestShard*(uint32_t)> peer;  // the shard with this id
  };

  static absl::StatusOr<std::unique_ptr<TestShard>> Create(const Options& options, Transport transport) {
    ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head, head::Head::Create(options.head, int64_t{1} << 30));
    auto shard = std::make_unique<TestShard>(options, std::move(head));
    if (transport == Transport::kGrpc) RETURN_IF_ERROR(shard->Serve());
    return shard;
  }
  TestShard(const Options& options, std::unique_ptr<head::Head> head)
      : options_(options),
        head_(std::move(head)),
        checkpoints_({.run_folder = options.run_folder}, head_.get(), RealFileSystem(), &metrics_, &clock_,
                     [this](const CheckpointReport& report) { Written(report); }),
        state_(OnClock(options.state), this),
        replay_(
            {.security = {},
             .on_record =
                 [this](const View& view, std::shared_ptr<const shard::ReplayRecord> record) {
                   return state_.Record(view, std::move(record));
                 },
             .on_ended = [this](const View& view, const absl::Status& status) { state_.ReplayEnded(view, status); }}),
        executor_(&state_, [this](const absl::Status& status) { Fail(status); }) {}

  ~TestShard() override {
    server_.reset();  // its streams call the state, which is destroyed last
    executor_.Finish();
  }

  absl::Status Join(const ViewAnnouncement& view) {
    if (service_ != nullptr) RETURN_IF_ERROR(service_->Admit(view, options_.state.id));
    return state_.JoinView(view, head_.get());
  }
  std::string address() const { return server_ == nullptr ? "" : server_->address(); }
  shard::ShardState& state() { return state_; }
  head::Head& head() { return *head_; }

  // In process: passes statistics for `worker` to `events`, for whose client this is shard number `index`.
  void Listen(uint32_t worker, size_t index, client::ShardLinkEvents* events) {
    MutexLock lock(&mutex_);
    listeners_[worker] = {index, events};
  }
  void Unlisten(uint32_t worker) {
    MutexLock lock(&mutex_);
    listeners_.erase(worker);
  }

  absl::StatusOr<JoinedReport> AwaitJoined(const View& view) {
    MutexLock lock(&mutex_);
    while (joined_.view != view && failure_.ok()) changed_.Wait(&mutex_);
    RETURN_IF_ERROR(failure_);
    return joined_;
  }
  ReadyVote AwaitVote(const View& view, uint64_t step) {
    MutexLock lock(&mutex_);
    while (!votes_.contains({view, step}) && failure_.ok()) changed_.Wait(&mutex_);
    if (!failure_.ok()) return {.view = view, .step = step, .finite = false, .reason = failure_.ToString()};
    return votes_[{view, step}];
  }
  absl::StatusOr<CheckpointReport> AwaitCheckpoint(uint64_t step) {
    MutexLock lock(&mutex_);
    while (!written_.contains(step) && failure_.ok()) changed_.Wait(&mutex_);
    RETURN_IF_ERROR(failure_);
    return written_[step];
  }
  void AwaitApplied(uint64_t step) {
    MutexLock lock(&mutex_);
    while (applied_ < step && failure_.ok()) changed_.Wait(&mutex_);
  }

  void SendStatistics(uint32_t worker, const Key& key, const shard::PartialStatistics& statistics) override {
    if (service_ != nullptr) {
      service_->SendStatistics(worker, key, statistics);
      return;
    }
    const auto copy = [](head::MatrixView<const float> m) { return std::vector<float>(m.data, m.data + m.size()); };
    client::ShardStatistics answer{{statistics.z.begin(), statistics.z.end()},
                                   copy(statistics.u),
                                   {statistics.own_rows.begin(), statistics.own_rows.end()},
                                   copy(statistics.own_centers)};
    RoundAsSent(options_.wire, absl::MakeSpan(answer.u));
    RoundAsSent(options_.wire, absl::MakeSpan(answer.own_centers));
    MutexLock lock(&mutex_);
    if (const auto listener = listeners_.find(worker); listener != listeners_.end()) {
      listener->second.second->OnStatistics(listener->second.first, key, &answer);
    }
  }
  void Refuse(uint32_t worker, const Key&, const absl::Status& why) override {
    if (service_ != nullptr) {
      service_->Refuse(worker, why);
      return;
    }
    MutexLock lock(&mutex_);
    if (const auto listener = listeners_.find(worker); listener != listeners_.end()) {
      listener->second.second->OnLost(listener->second.first, why);
    }
  }
  void VoteReady(const ReadyVote& vote) override {
    MutexLock lock(&mutex_);
    votes_[{vote.view, vote.step}] = vote;
    changed_.NotifyAll();
  }
  void TakeCheckpoint(const View& view, uint64_t step) override { checkpoints_.Begin(view, step); }
  void Applied(uint64_t step, Outcome) override {
    MutexLock lock(&mutex_);
    applied_ = step;
    changed_.NotifyAll();
  }

  absl::Status RestoreBase(const ViewAnnouncement& view) override {
    if (view.checkpoint.empty()) return shard::WriteFirstRows(head_.get());
    return shard::RestoreRows(RealFileSystem(), view.checkpoint, view.base, head_.get());
  }
  void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) override {
    if (service_ == nullptr) {
      state_.ReplayEnded(view.view, ReplayInProcess(view.view, options_.peer(peer), after, until));
      return;
    }
    replay_.Begin({.view = view.view,
                   .shard = options_.state.id,
                   .token = view.shards[options_.state.id].token,
                   .peer = peer,
                   .address = view.shards[peer].address,
                   .after = after,
                   .until = until,
                   .limits = {options_.state.dim, options_.state.batch_size, view.num_classes}});
  }
  void Replayed(const StatePoint& after) override { replay_.Applied(after.step); }
  void Joined(const JoinedReport& report) override {
    if (service_ != nullptr) service_->Joined(report.view);
    MutexLock lock(&mutex_);
    joined_ = report;
    changed_.NotifyAll();
  }
  void LostPeers(const LostPeersReport& report) override { Fail(absl::UnavailableError(report.sentence)); }

 private:
  shard::ShardState::Options OnClock(shard::ShardState::Options options) const {
    options.clock = &clock_;
    return options;
  }
  absl::Status Serve() {
    service_ = std::make_unique<shard::ShardService>(&metrics_);
    service_->SetWireType(options_.wire);
    service_->Attach(&state_);
    ASSIGN_OR_RETURN(server_, RpcServer::Start("127.0.0.1:0", {service_.get()}));
    return absl::OkStatus();
  }
  // Takes the records of `peer`, as soon as it holds the view's state.
  absl::Status ReplayInProcess(const View& view, TestShard* peer, StatePoint at, uint64_t until) {
    RETURN_IF_ERROR(peer->AwaitJoined(view).status());
    while (at.step < until) {
      ASSIGN_OR_RETURN(const std::shared_ptr<const shard::ReplayRecord> record, peer->state().RecordAfter(at));
      RETURN_IF_ERROR(state_.Record(view, record));
      at = record->after;
    }
    return absl::OkStatus();
  }
  void Written(const CheckpointReport& report) {
    MutexLock lock(&mutex_);
    written_[report.step] = report;
    changed_.NotifyAll();
  }
  void Fail(const absl::Status& status) {
    MutexLock lock(&mutex_);
    failure_ = status;
    changed_.NotifyAll();
  }

  const Options options_;
  const SystemClock clock_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  std::unique_ptr<shard::ShardService> service_;  // null in process
  Mutex mutex_;
  CondVar changed_;
  std::map<uint32_t, std::pair<size_t, client::ShardLinkEvents*>> listeners_ ABSL_GUARDED_BY(mutex_);  // by worker
  std::map<std::pair<View, uint64_t>, ReadyVote> votes_ ABSL_GUARDED_BY(mutex_);  // by view and step
  std::map<uint64_t, CheckpointReport> written_ ABSL_GUARDED_BY(mutex_);          // by step
  uint64_t applied_ ABSL_GUARDED_BY(mutex_) = 0;
  JoinedReport joined_ ABSL_GUARDED_BY(mutex_);  // the last
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<head::Head> head_;
  shard::ShardCheckpointer checkpoints_;
  shard::ShardState state_;
  shard::ReplayClient replay_;
  shard::Executor executor_;
  std::unique_ptr<RpcServer> server_;
};

// Calls the state machine directly. A refused message ends the link, as it does over gRPC.
class InProcessLink final : public client::ShardLink {
 public:
  InProcessLink(TestShard* shard, size_t index, uint32_t worker, int64_t dim, client::ShardLinkEvents* events)
      : shard_(shard), index_(index), worker_(worker), dim_(dim), events_(events) {
    shard_->Listen(worker, index, events);
  }
  ~InProcessLink() override { shard_->Unlisten(worker_); }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    Check(shard_->state().Labels(worker_, key, labels));
  }
  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    Check(shard_->state().Embedding(worker_, key,
                                    {embedding.data(), static_cast<int64_t>(embedding.size()) / dim_, dim_}));
  }
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) override {
    Check(shard_->state().Gradient(worker_, key, r, t));
  }

 private:
  void Check(const absl::Status& status) {
    if (!status.ok()) events_->OnLost(index_, status);
  }
  TestShard* const shard_;
  const size_t index_;
  const uint32_t worker_;
  const int64_t dim_;
  client::ShardLinkEvents* const events_;
};

class RealShardCluster final : public ShardCluster {
 public:
  RealShardCluster(const ShardClusterOptions& options, Transport transport)
      : options_(options), transport_(transport) {}

  absl::Status StartShards() {
    view_.num_classes = options_.ranges.back().end;
    view_.state = view_.base = options_.base;
    view_.checkpoint = options_.checkpoint;
    for (uint32_t i = 0; i < options_.workers; ++i) {
      view_.workers.push_back({.id = i, .rendezvous = "", .token = NewToken()});
    }
    shards_.resize(options_.ranges.size());
    for (uint32_t k = 0; k < options_.ranges.size(); ++k) {
      view_.shards.push_back({.id = k, .address = "", .range = options_.ranges[k], .token = NewToken()});
      RETURN_IF_ERROR(StartShard(k));
    }
    return Enter(options_.view);
  }

  const ViewAnnouncement& view() const override { return view_; }

  absl::StatusOr<std::unique_ptr<client::ShardLink>> Link(uint32_t worker, size_t shard,
                                                          client::ShardLinkEvents* events) override {
    if (transport_ == Transport::kInProcess) {
      return std::make_unique<InProcessLink>(shards_[shard].get(), shard, worker, options_.head.dim, events);
    }
    client::ShardLinkOptions link;
    link.shard = shard;
    link.address = shards_[shard]->address();
    link.worker = worker;
    link.token = view_.workers[worker].token;
    link.dim = options_.head.dim;
    link.wire = options_.wire;
    link.view = view_.view;
    return client::ConnectShard(link, events);
  }

  absl::Status Install(const Next& next) override {
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->state().Install({.view = view_.view, .next = next}));
    return absl::OkStatus();
  }
  absl::Status Decide(const Decision& decision) override {
    const Decision decided = Record(decision);
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->state().Decide(decided));
    return absl::OkStatus();
  }
  absl::Status DecideAt(size_t shard, const Decision& decision) override {
    return shards_[shard]->state().Decide(Record(decision));
  }

  absl::Status Announce(const View& view) override {
    view_.state = state();
    view_.last = last_;
    return Enter(view);
  }
  absl::Status Restart(size_t shard) override {
    shards_[shard].reset();
    view_.shards[shard].token = NewToken();
    return StartShard(static_cast<uint32_t>(shard));
  }
  JoinedReport JoinedAs(size_t shard) override {
    return shards_[shard]->AwaitJoined(view_.view).value_or(JoinedReport());
  }
  void SetBase(const StatePoint& state, const std::string& checkpoint) override {
    view_.base = state;
    view_.checkpoint = checkpoint;
    for (const auto& shard : shards_) shard->state().CheckpointSettled({.state = state, .complete = true});
  }
  StatePoint state() const override { return last_.has_value() ? last_->after() : options_.base; }

  ReadyVote AwaitVote(uint64_t step) override {
    ReadyVote all{.view = view_.view, .step = step};
    for (const auto& shard : shards_) {
      const ReadyVote vote = shard->AwaitVote(view_.view, step);
      if (!vote.finite) all = vote;
    }
    return all;
  }
  void AwaitApplied(uint64_t step) override {
    for (const auto& shard : shards_) shard->AwaitApplied(step);
  }

  absl::StatusOr<std::vector<CheckpointReport>> AwaitCheckpoint(uint64_t step) override {
    std::vector<CheckpointReport> reports;
    for (const auto& shard : shards_) {
      ASSIGN_OR_RETURN(CheckpointReport report, shard->AwaitCheckpoint(step));
      reports.push_back(std::move(report));
    }
    return reports;
  }

  std::vector<float> Weights() const override {
    return Read(
        [](head::Head& head, head::MatrixView<float> rows) { return head.ReadWeights(head.options().range, rows); });
  }
  std::vector<float> Moment(int moment) const override {
    return Read([moment](head::Head& head, head::MatrixView<float> rows) {
      return head.ReadMoment(moment, head.options().range, rows);
    });
  }
  std::vector<uint32_t> Counts() const override {
    std::vector<uint32_t> all(view_.num_classes);
    for (const auto& shard : shards_) {
      const ClassRange range = shard->head().options().range;
      if (!shard->head().ReadCounts(range, absl::MakeSpan(all).subspan(range.begin, range.size())).ok()) return {};
    }
    return all;
  }
  void SetWeights(const std::vector<float>& weights) override {
    for (const auto& shard : shards_) {
      const ClassRange range = shard->head().options().range;
      shard->head().WriteWeights(range, RowsOf(weights, range)).IgnoreError();
    }
  }
  void SetMoment(int moment, const std::vector<float>& values) override {
    for (const auto& shard : shards_) {
      const ClassRange range = shard->head().options().range;
      shard->head().WriteMoment(moment, range, RowsOf(values, range)).IgnoreError();
    }
  }

 private:
  head::MatrixView<const float> RowsOf(const std::vector<float>& matrix, ClassRange range) const {
    return {matrix.data() + range.begin * options_.head.dim, range.size(), options_.head.dim};
  }

  template <typename ReadRows>
  std::vector<float> Read(const ReadRows& read_rows) const {
    std::vector<float> all(view_.num_classes * options_.head.dim);
    for (const auto& shard : shards_) {
      const ClassRange range = shard->head().options().range;
      const absl::Status status =
          read_rows(shard->head(), {all.data() + range.begin * options_.head.dim, range.size(), options_.head.dim});
      if (!status.ok()) return {};
    }
    return all;
  }

  // Makes shard `k`, which holds nothing.
  absl::Status StartShard(uint32_t k) {
    TestShard::Options options;
    options.head = options_.head;
    options.head.num_classes = view_.num_classes;
    options.head.range = options_.ranges[k];
    options.head.device = head::TestDevice();
    options.state.id = k;
    options.state.dim = options_.head.dim;
    options.state.batch_size = options_.batch_size;
    options.state.max_in_flight = options_.max_in_flight;
    options.wire = options_.wire;
    options.state.deterministic = options_.deterministic;
    options.state.log_bytes = options_.log_bytes;
    options.run_folder = options_.run_folder;
    options.peer = [this](uint32_t id) { return shards_[id].get(); };
    ASSIGN_OR_RETURN(shards_[k], TestShard::Create(options, transport_));
    view_.shards[k].address = shards_[k]->address();
    view_.shards[k].holds = view_.shards[k].has_log = false;
    return absl::OkStatus();
  }

  // Announces the view to all shards and waits until they have joined.
  absl::Status Enter(const View& view) {
    view_.view = view;
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->Join(view_));
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->AwaitJoined(view).status());
    for (ShardMember& shard : view_.shards) {
      shard.holds = true;
      shard.has_log = shards_.size() > 1 && options_.log_bytes > 0;
    }
    return absl::OkStatus();
  }

  // Makes this the last decision.
  const Decision& Record(Decision decision) {
    decision.lineage = ExtendLineage(state().lineage, decision);
    last_ = decision;
    return *last_;
  }

  const ShardClusterOptions options_;
  const Transport transport_;
  ViewAnnouncement view_;
  std::optional<Decision> last_;  // none: the state is the first base
  std::vector<std::unique_ptr<TestShard>> shards_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ShardCluster>> ShardCluster::Start(const ShardClusterOptions& options,
                                                                  Transport transport) {
  auto cluster = std::make_unique<RealShardCluster>(options, transport);
  RETURN_IF_ERROR(cluster->StartShards());
  return cluster;
}

absl::StatusOr<std::unique_ptr<client::HeadClient>> ShardCluster::Connect(uint32_t worker) {
  const int64_t dim = Weights().size() / view().num_classes;
  static const SystemClock clock;
  auto client = std::make_unique<client::HeadClient>(dim, &clock);
  for (uint32_t shard = 0; shard < view().shards.size(); ++shard) {
    ASSIGN_OR_RETURN(std::unique_ptr<client::ShardLink> link, Link(worker, shard, client.get()));
    client->AddLink(shard, std::move(link));
  }
  return client;
}

std::vector<ClassRange> UnevenRanges(int64_t num_classes, size_t shards) {
  std::vector<ClassRange> ranges;
  int64_t begin = 0;
  for (size_t k = 0; k < shards; ++k) {
    // Each shard but the last takes a third of the remaining classes, and at least one while there are enough.
    const int64_t left = num_classes - begin;
    const int64_t size = k + 1 == shards ? left : std::min(left, std::max<int64_t>(1, left / 3));
    ranges.push_back({begin, begin + size});
    begin += size;
  }
  return ranges;
}

}  // namespace arcshard
