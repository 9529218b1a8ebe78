#include "client/grpc_shard_link.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/metrics/traffic.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/tensor_codec.h"
#include "common/trace/trace_row.h"

namespace arcshard::client {
namespace {

// Shared by a link and its stream's handler.
struct LinkState {
  Mutex mutex;
  CondVar changed;
  std::deque<std::pair<Key, int64_t>> awaited ABSL_GUARDED_BY(mutex);  // (key, B) of answers to come
  bool leaving ABSL_GUARDED_BY(mutex) = false;  // the link is being destroyed: its end is not reported as a loss
  bool done ABSL_GUARDED_BY(mutex) = false;     // the handler makes no more calls
};

// Assembles the pieces of Statistics. The shapes follow from what was sent, so a message cannot make it allocate more.
class StatisticsHandler final : public StreamHandler<v1::ShardMessage> {
 public:
  StatisticsHandler(const ShardLinkOptions& options, ShardLinkEvents* events, std::shared_ptr<LinkState> state)
      : options_(options),
        events_(events),
        state_(std::move(state)),
        received_(options.metrics, kReceived),
        row_(options.metrics == nullptr ? nullptr : options.metrics->tracer,
             absl::StrCat("from shard ", options.shard)) {}

  absl::Status OnMessage(const v1::ShardMessage& message) override {
    received_.Count(message);
    ASSIGN_OR_RETURN(const Key key, FromProto(message.key()));
    const v1::Statistics& part = message.statistics();
    if (part.has_z()) RETURN_IF_ERROR(Begin(key, part));
    if (!(key == key_)) {
      return absl::InvalidArgumentError(absl::StrCat("statistics of ", ToString(key), " do not begin with z"));
    }
    if (!u_.has_value()) return absl::OkStatus();  // not expected, see Begin
    if (part.has_u()) RETURN_IF_ERROR(u_->Add(part.u()));
    if (part.has_own_centers()) RETURN_IF_ERROR(own_centers_->Add(part.own_centers()));
    if (u_->complete() && (own_centers_->complete() || statistics_.own_rows.empty())) {
      u_.reset();
      row_.Add("receive", begin_, row_.Now(), {.step = key_.step, .micro_batch = key_.micro_batch});
      events_->OnStatistics(options_.shard, key_, &statistics_);
    }
    return absl::OkStatus();
  }

  void OnClosed(const absl::Status& status) override {
    MutexLock lock(&state_->mutex);
    if (!state_->leaving) {
      const std::string reason = status.ok() ? "it ended the stream" : std::string(status.message());
      events_->OnLost(options_.shard, absl::Status(status.ok() ? absl::StatusCode::kUnavailable : status.code(),
                                                   absl::StrCat(reason, " (at ", options_.address, ")")));
    }
    state_->done = true;
    state_->changed.NotifyAll();
  }

 private:
  // Ignores an answer that is not expected: one that was on its way when this worker's last stream broke, so that it
  // asked again, or the second of two.
  absl::Status Begin(const Key& key, const v1::Statistics& part) {
    key_ = key;
    begin_ = row_.Now();
    u_.reset();
    int64_t batch = -1;
    {
      MutexLock lock(&state_->mutex);
      const auto found = std::find_if(state_->awaited.begin(), state_->awaited.end(),
                                      [&key](const auto& awaited) { return awaited.first == key; });
      if (found == state_->awaited.end()) return absl::OkStatus();
      batch = found->second;
      state_->awaited.erase(found);
    }
    if (part.own_rows_size() > batch)
      return absl::InvalidArgumentError("statistics.own_rows has more rows than the micro-batch");
    statistics_.z.resize(batch);
    statistics_.u.resize(batch * options_.dim);
    statistics_.own_rows.assign(part.own_rows().begin(), part.own_rows().end());
    statistics_.own_centers.resize(part.own_rows_size() * options_.dim);
    RETURN_IF_ERROR(DecodeTensor<float>("statistics.z", {batch}, part.z(), absl::MakeSpan(statistics_.z)));
    u_.emplace("statistics.u", options_.wire, std::vector<int64_t>{batch, options_.dim}, absl::MakeSpan(statistics_.u));
    own_centers_.emplace("statistics.own_centers", options_.wire,
                         std::vector<int64_t>{part.own_rows_size(), options_.dim},
                         absl::MakeSpan(statistics_.own_centers));
    return absl::OkStatus();
  }

  const ShardLinkOptions options_;
  ShardLinkEvents* const events_;
  const std::shared_ptr<LinkState> state_;
  Traffic received_;
  const TraceRow row_;
  MonotonicTime begin_;  // of what is being received
  Key key_;
  ShardStatistics statistics_;
  std::optional<TensorReceiver> u_;  // between the first and the last piece of a micro-batch's statistics
  std::optional<TensorReceiver> own_centers_;
};

class GrpcShardLink final : public ShardLink {
 public:
  GrpcShardLink(const ShardLinkOptions& options, const std::shared_ptr<grpc::Channel>& channel, ShardLinkEvents* events)
      : options_(options),
        state_(std::make_shared<LinkState>()),
        sent_(options.metrics, kSent),
        stub_(v1::Shard::NewStub(channel)) {
    sender_ = ClientStream<v1::WorkerMessage, v1::ShardMessage>::Start(
        std::make_unique<StatisticsHandler>(options, events, state_),
        [this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Exchange(context, reactor); });
    v1::WorkerMessage hello;
    *hello.mutable_key()->mutable_view() = ToProto(options.view);
    hello.mutable_hello()->set_worker(options.worker);
    hello.mutable_hello()->set_token(options.token);
    Send(std::move(hello));
  }

  ~GrpcShardLink() override {
    MutexLock lock(&state_->mutex);
    state_->leaving = true;
    sender_->Close(absl::CancelledError("the worker leaves"));
    while (!state_->done) state_->changed.Wait(&state_->mutex);
  }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    v1::WorkerMessage message;
    *message.mutable_key() = ToProto(key);
    *message.mutable_labels()->mutable_labels() = EncodeTensor<int64_t>({static_cast<int64_t>(labels.size())}, labels);
    Send(std::move(message));
  }

  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    const int64_t batch = static_cast<int64_t>(embedding.size()) / options_.dim;
    {
      MutexLock lock(&state_->mutex);
      state_->awaited.emplace_back(key, batch);
    }
    const int64_t pieces = NumPieces(static_cast<int64_t>(embedding.size()) * BytesOfValue(options_.wire));
    for (int64_t piece = 0; piece < pieces; ++piece) {
      v1::WorkerMessage message;
      *message.mutable_key() = ToProto(key);
      EncodePiece(options_.wire, {batch, options_.dim}, embedding, piece,
                  message.mutable_embedding()->mutable_embedding());
      Send(std::move(message));
    }
  }

  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) override {
    v1::WorkerMessage message;
    *message.mutable_key() = ToProto(key);
    *message.mutable_gradient()->mutable_r() = EncodeTensor<float>({static_cast<int64_t>(r.size())}, r);
    *message.mutable_gradient()->mutable_t() = EncodeTensor<float>({static_cast<int64_t>(t.size())}, t);
    Send(std::move(message));
  }

 private:
  void Send(v1::WorkerMessage message) {
    sent_.Count(message);
    sender_->Send(std::move(message));
  }

  const ShardLinkOptions options_;
  const std::shared_ptr<LinkState> state_;
  Traffic sent_;
  const std::unique_ptr<v1::Shard::Stub> stub_;
  std::shared_ptr<StreamSender<v1::WorkerMessage>> sender_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ShardLink>> ConnectShard(const ShardLinkOptions& options, ShardLinkEvents* events) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.address, options.security, CertifiedRole::kShard);
  RETURN_IF_ERROR(AwaitConnected(channel.get(), absl::StrCat("shard ", options.shard, " at ", options.address),
                                 options.connect_timeout, options.check));
  return std::make_unique<GrpcShardLink>(options, channel, events);
}

}  // namespace arcshard::client
