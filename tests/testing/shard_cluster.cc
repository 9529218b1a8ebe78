#include "tests/testing/shard_cluster.h"

#include <algorithm>
#include <map>
#include <utility>

#include "client/grpc_shard_link.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/token.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/head/testing/test_device.h"
#include "shard_server/service/shard_service.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_output.h"

namespace arcshard {
namespace {

// One shard: the parts of arcshard-shard without the stream to the coordinator.
class TestShard final : public shard::ShardOutput {
 public:
  TestShard(std::unique_ptr<head::Head> head, const shard::ShardState::Options& options, const std::string& run_folder)
      : head_(std::move(head)),
        checkpoints_({.run_folder = run_folder}, head_.get(), RealFileSystem(), &metrics_, &clock_,
                     [this](const CheckpointReport& report) { Written(report); }),
        state_(options, this),
        executor_(&state_, [this](const absl::Status& status) { Fail(status); }) {}

  ~TestShard() override {
    server_.reset();  // its streams call the state, which is destroyed last
    executor_.Finish();
  }

  absl::Status Join(const ViewAnnouncement& view) {
    if (service_ != nullptr) RETURN_IF_ERROR(service_->Admit(view));
    return state_.JoinView(view, head_.get());
  }

  absl::Status Serve() {
    service_ = std::make_unique<shard::ShardService>(&metrics_);
    service_->Attach(&state_);
    ASSIGN_OR_RETURN(server_, RpcServer::Start("127.0.0.1:0", {service_.get()}));
    return absl::OkStatus();
  }
  const std::string& address() const { return server_->address(); }
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

  ReadyVote AwaitVote(uint64_t step) {
    MutexLock lock(&mutex_);
    while (!votes_.contains(step) && failure_.ok()) changed_.Wait(&mutex_);
    return failure_.ok() ? votes_[step] : ReadyVote{.step = step, .finite = false, .reason = failure_.ToString()};
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
    votes_[vote.step] = vote;
    changed_.NotifyAll();
  }
  void TakeCheckpoint(const View& view, uint64_t step) override { checkpoints_.Begin(view, step); }
  void Applied(uint64_t step, Outcome) override {
    MutexLock lock(&mutex_);
    applied_ = step;
    changed_.NotifyAll();
  }

 private:
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

  const SystemClock clock_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  std::unique_ptr<shard::ShardService> service_;  // null in process
  Mutex mutex_;
  CondVar changed_;
  std::map<uint32_t, std::pair<size_t, client::ShardLinkEvents*>> listeners_ ABSL_GUARDED_BY(mutex_);  // by worker
  std::map<uint64_t, ReadyVote> votes_ ABSL_GUARDED_BY(mutex_);                                        // by step
  std::map<uint64_t, CheckpointReport> written_ ABSL_GUARDED_BY(mutex_);                               // by step
  uint64_t applied_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<head::Head> head_;
  shard::ShardCheckpointer checkpoints_;
  shard::ShardState state_;
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
    view_.view = options_.view;
    view_.last_decided_step = options_.last_decided_step;
    view_.checkpoint = options_.checkpoint;
    view_.num_classes = options_.ranges.back().end;
    for (uint32_t i = 0; i < options_.workers; ++i) view_.workers.push_back({i, "", NewToken()});
    for (uint32_t k = 0; k < options_.ranges.size(); ++k) {
      head::HeadOptions head = options_.head;
      head.num_classes = view_.num_classes;
      head.range = options_.ranges[k];
      head.device = head::TestDevice();
      shard::ShardState::Options state;
      state.id = k;
      state.dim = head.dim;
      state.batch_size = options_.batch_size;
      state.max_in_flight = options_.max_in_flight;
      state.deterministic = options_.deterministic;
      ASSIGN_OR_RETURN(std::unique_ptr<head::Head> made, head::Head::Create(head, int64_t{1} << 30));
      if (!options_.checkpoint.empty()) {
        RETURN_IF_ERROR(
            shard::RestoreRows(RealFileSystem(), options_.checkpoint, options_.last_decided_step, made.get()));
      }
      shards_.push_back(std::make_unique<TestShard>(std::move(made), state, options_.run_folder));
      if (transport_ == Transport::kGrpc) RETURN_IF_ERROR(shards_[k]->Serve());
      view_.shards.push_back({k, transport_ == Transport::kGrpc ? shards_[k]->address() : "", options_.ranges[k]});
    }
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->Join(view_));
    return absl::OkStatus();
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
    link.view = view_.view;
    return client::ConnectShard(link, events);
  }

  absl::Status Decide(const Decision& decision) override {
    for (const auto& shard : shards_) RETURN_IF_ERROR(shard->state().Decide(decision));
    return absl::OkStatus();
  }
  ReadyVote AwaitVote(uint64_t step) override {
    ReadyVote all{.view = view_.view, .step = step};
    for (const auto& shard : shards_) {
      const ReadyVote vote = shard->AwaitVote(step);
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

  const ShardClusterOptions options_;
  const Transport transport_;
  ViewAnnouncement view_;
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
  auto client = std::make_unique<client::HeadClient>(dim);
  for (size_t shard = 0; shard < view().shards.size(); ++shard) {
    ASSIGN_OR_RETURN(std::unique_ptr<client::ShardLink> link, Link(worker, shard, client.get()));
    client->AddLink(std::move(link));
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
