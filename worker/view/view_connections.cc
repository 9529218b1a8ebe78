#include "worker/view/view_connections.h"

#include <memory>
#include <utility>

#include "client/grpc_shard_link.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {
namespace {

AllReduceOptions GroupOf(const ViewConnections::Options& options) {
  AllReduceOptions group;
  group.view = options.view.view;
  group.workers.clear();
  for (const WorkerMember& worker : options.view.workers) group.workers.push_back(worker.id);
  group.rank = static_cast<int>(options.position);
  group.rendezvous = options.view.workers.front().rendezvous;
  group.interface = options.interface;
  group.connect_timeout = options.connect_timeout;
  group.device = options.device;
  group.clock = options.clock;
  return group;
}

// Whether a shard ended its stream with this code because of a mistake, which would only be repeated.
bool IsMistake(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

ViewConnections::ViewConnections(Options options)
    : options_(std::move(options)),
      head_(options_.dim, options_.clock, &options_.metrics->micro_batches_in_flight),
      all_reduce_(GroupOf(options_)) {}

absl::Status ViewConnections::Connect() {
  for (const ShardMember& shard : options_.view.shards) RETURN_IF_ERROR(ConnectTo(shard));
  return all_reduce_.Connect();
}

absl::Status ViewConnections::ConnectTo(const ShardMember& shard) {
  {
    MutexLock lock(&mutex_);
    if (!aborted_.ok()) return aborted_;
    connecting_ = shard.id;
    connecting_since_ = options_.clock->Now();
  }
  client::ShardLinkOptions link;
  link.shard = shard.id;
  link.address = shard.address;
  link.security = options_.security;
  link.worker = options_.worker;
  link.token = options_.token;
  link.dim = options_.dim;
  link.wire = options_.wire;
  link.view = options_.view.view;
  link.connect_timeout = options_.connect_timeout;
  link.check = [this] {
    MutexLock lock(&mutex_);
    return aborted_;
  };
  link.metrics = options_.metrics;
  absl::StatusOr<std::unique_ptr<client::ShardLink>> connected = client::ConnectShard(link, &head_);
  {
    MutexLock lock(&mutex_);
    connecting_.reset();
    if (!connected.ok() && aborted_.ok()) unreachable_.push_back(shard.id);
  }
  RETURN_IF_ERROR(connected.status());
  head_.AddLink(shard.id, *std::move(connected),
                TraceRow(options_.metrics->tracer, absl::StrCat("wait for shard ", shard.id)));
  return absl::OkStatus();
}

void ViewConnections::Abort(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (aborted_.ok()) aborted_ = status;
  }
  head_.Abort(status);
  all_reduce_.Abort(status);
}

std::optional<LostPeersReport> ViewConnections::LossBehind(const absl::Status& status) const {
  if (status.ok() || IsMistake(status.code())) return std::nullopt;
  LostPeersReport report{
      .shards = head_.lost(), .workers = all_reduce_.lost(), .sentence = std::string(status.message())};
  {
    MutexLock lock(&mutex_);
    report.shards.insert(report.shards.end(), unreachable_.begin(), unreachable_.end());
  }
  if (report.shards.empty() && report.workers.empty()) return std::nullopt;
  return report;
}

Waiting ViewConnections::waiting() const {
  Waiting waiting{.view = options_.view.view};
  const client::Waiting statistics = head_.waiting();
  std::optional<MonotonicTime> since = all_reduce_.waiting_since();
  waiting.all_reduce = since.has_value();
  waiting.shards = statistics.shards;
  if (!statistics.shards.empty()) since = statistics.since;
  {
    MutexLock lock(&mutex_);
    if (connecting_.has_value()) {
      waiting.shards = {*connecting_};
      since = connecting_since_;
    }
  }
  if (since.has_value()) waiting.seconds = absl::ToDoubleSeconds(options_.clock->Now() - *since);
  return waiting;
}

}  // namespace arcshard::worker
