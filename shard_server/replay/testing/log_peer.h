#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "shard_server/head/head.h"
#include "shard_server/replay/testing/record_kit.h"
#include "shard_server/service/shard_service.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_state.h"

// For tests of replays: a shard behind a real server whose log holds records.
namespace arcshard::shard {

// Shard 0 of three. It holds the classes [0, 40), and shard 2 asks.
class LogPeer final : private ShardOutput {
 public:
  // Its log holds `records`, which begin at the first weights and are of the default shape.
  explicit LogPeer(std::vector<std::shared_ptr<const ReplayRecord>> records)
      : records_(std::move(records)), state_(Options(), static_cast<ShardOutput*>(this)) {
    head::HeadOptions head;
    head.num_classes = kRecordClasses;
    head.range = {0, 40};
    head.dim = RecordShape().dim;
    head_ = *head::Head::Create(head, int64_t{1} << 30);
    service_.Attach(&state_);
    server_ = *RpcServer::Start("127.0.0.1:0", {&service_});
    executor_ = std::make_unique<Executor>(&state_, [](const absl::Status& why) { ADD_FAILURE() << why; });
    // In the first view it gets the records; from the second one on it has them.
    Announce(ViewOf(1, /*has_log=*/false));
    AwaitJoined({3, 1});
  }
  ~LogPeer() override {
    server_.reset();
    service_.Attach(nullptr);
    executor_.reset();
  }

  // View 3.`counter`, which goes on from the state after the records.
  ViewAnnouncement ViewOf(uint64_t counter, bool has_log = true) const {
    ViewAnnouncement view;
    view.view = {3, counter};
    view.num_classes = kRecordClasses;
    view.shards = {{0, "", {0, 40}, has_log, has_log, "token of shard 0"},
                   {1, "", {40, 70}, true, !has_log, "token of shard 1"},
                   {2, "", {70, 100}, false, false, "token of shard 2"}};
    view.workers = {{0, "", "token of worker0"}};
    if (records_.empty()) return view;
    const ReplayRecord& last = *records_.back();
    view.state = last.after;
    view.last = Decision{.view = last.view,
                         .step = last.plan.step,
                         .outcome = *last.outcome,
                         .lr = last.lr,
                         .next = {},
                         .lineage = last.after.lineage};
    return view;
  }
  // The state enters the view; Joined follows.
  void Announce(const ViewAnnouncement& view) {
    ASSERT_TRUE(service_.Admit(view, 0).ok());
    ASSERT_TRUE(state_.JoinView(view, head_.get()).ok());
  }
  // The service knows the view's tokens, but the state has not joined it.
  void OnlyAdmit(const ViewAnnouncement& view) { ASSERT_TRUE(service_.Admit(view, 0).ok()); }
  void OnlyJoin(const ViewAnnouncement& view) { ASSERT_TRUE(state_.JoinView(view, head_.get()).ok()); }
  void AwaitJoined(const View& view) {
    MutexLock lock(&mutex_);
    while (!joined_.has_value() || *joined_ != view) changed_.Wait(&mutex_);
  }

  ShardState& state() { return state_; }
  ShardMetrics& metrics() { return metrics_; }
  const std::string& address() const { return server_->address(); }
  void Stop() { server_.reset(); }

 private:
  ShardState::Options Options() const {
    ShardState::Options options;
    options.id = 0;
    options.dim = RecordShape().dim;
    options.batch_size = 100'000;
    options.log_bytes = uint64_t{1} << 30;
    options.clock = &clock_;
    return options;
  }

  void SendStatistics(uint32_t, const Key&, const PartialStatistics&) override {}
  void Refuse(uint32_t, const Key&, const absl::Status&) override {}
  void VoteReady(const ReadyVote&) override {}
  void TakeCheckpoint(const View&, uint64_t) override {}
  void Applied(uint64_t, Outcome) override {}
  absl::Status RestoreBase(const ViewAnnouncement&) override { return absl::OkStatus(); }
  void RequestReplay(const ViewAnnouncement& view, uint32_t, const StatePoint&, uint64_t) override {
    for (const auto& record : records_) {
      const absl::Status status = state_.Record(view.view, record);
      EXPECT_TRUE(status.ok()) << status;
    }
    state_.ReplayEnded(view.view, absl::OkStatus());
  }
  void Joined(const JoinedReport& report) override {
    service_.Joined(report.view);
    MutexLock lock(&mutex_);
    joined_ = report.view;
    changed_.NotifyAll();
  }
  void LostPeers(const LostPeersReport& report) override { ADD_FAILURE() << report.sentence; }

  const SystemClock clock_;
  const std::vector<std::shared_ptr<const ReplayRecord>> records_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  std::unique_ptr<head::Head> head_;
  ShardState state_;
  ShardService service_{&metrics_};
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<Executor> executor_;
  Mutex mutex_;
  CondVar changed_;
  std::optional<View> joined_ ABSL_GUARDED_BY(mutex_);
};

// The records of the steps from 1 to `steps`.
inline std::vector<std::shared_ptr<const ReplayRecord>> RecordsThrough(uint64_t steps, RecordShape shape = {}) {
  shape.has_nan = false;
  std::vector<std::shared_ptr<const ReplayRecord>> records;
  StatePoint at;
  while (at.step < steps) {
    records.push_back(MakeRecord(at, shape));
    at = records.back()->after;
  }
  return records;
}

}  // namespace arcshard::shard
