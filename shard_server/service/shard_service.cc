#include "shard_server/service/shard_service.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/token.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/security/authorize.h"
#include "common/rpc/security/refusal_log.h"
#include "common/rpc/server_stream.h"
#include "common/rpc/tensor_codec.h"
#include "common/trace/trace_row.h"
#include "shard_server/service/statistics_messages.h"

namespace arcshard::shard {
namespace {

// Streams that may wait for their hello, beside as many as the run has workers.
constexpr size_t kMostUnproven = 32;

absl::Status CheckToken(const View& view, absl::string_view role, uint32_t id, absl::string_view token) {
  if (token.size() == kTokenBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(ToString(view), " gives ", role, " ", id, " a token of ", token.size(),
                                                 " bytes, expected ", kTokenBytes));
}

}  // namespace

// One worker's stream. Its buffers grow to the largest micro-batch that was sent. Shapes are checked against the run's
// before memory is allocated for them.
class ShardService::Handler final : public StreamHandler<v1::WorkerMessage> {
 public:
  Handler(ShardService* service, std::string peer, const WorkerStreams::Sender& sender)
      : service_(service),
        peer_(std::move(peer)),
        sender_(sender),
        ticket_(service->unproven_.Enter([sender](const absl::Status& status) { sender->Close(status); })) {}

  absl::Status OnMessage(const v1::WorkerMessage& message) override {
    service_->received_.Count(message);
    absl::Status status = Take(message);
    if (!status.ok()) service_->CountRefusal(status);
    if (absl::IsPermissionDenied(status)) LogRefusal(peer_, status.message());
    return status;
  }

  void OnClosed(const absl::Status&) override {
    service_->unproven_.Leave(ticket_);
    if (worker_.has_value()) service_->streams_.Remove(*worker_, sender_);
  }

 private:
  absl::Status Take(const v1::WorkerMessage& message) {
    ASSIGN_OR_RETURN(const Key key, FromProto(message.key()));
    const AttachedState::Use use(&service_->state_);
    ShardState* const state = use.get();
    if (message.has_hello()) return TakeHello(state, key, message.hello());
    if (!worker_.has_value()) return absl::FailedPreconditionError("the first message of a stream must be hello");
    const bool genuine = service_->streams_.Has(*worker_, sender_);
    if (proven_ && !genuine) {  // and what has arrived of the stream meanwhile does not count
      return absl::AbortedError(
          absl::StrCat(ToString(key), " came on a stream of worker ", *worker_, " that was ended"));
    }
    proven_ = genuine;
    if (state == nullptr || !proven_) {
      return absl::FailedPreconditionError(absl::StrCat(ToString(key), " came before this shard had joined the run"));
    }
    if (embedding_.has_value() && !message.has_embedding()) {
      return absl::InvalidArgumentError(absl::StrCat("the embedding of ", ToString(embedding_key_),
                                                     " is incomplete: ", ToString(key), " came between its pieces"));
    }
    switch (message.message_case()) {
      case v1::WorkerMessage::kLabels:
        return TakeLabels(state, key, message.labels().labels());
      case v1::WorkerMessage::kEmbedding:
        return TakeEmbedding(state, key, message.embedding().embedding());
      case v1::WorkerMessage::kGradient:
        return TakeGradient(state, key, message.gradient());
      default:
        return absl::InvalidArgumentError(absl::StrCat("the message of ", ToString(key), " is empty"));
    }
  }

  absl::Status TakeHello(ShardState* state, const Key& key, const v1::Hello& hello) {
    const uint32_t worker = hello.worker();
    if (worker_.has_value() && *worker_ != worker) {
      return absl::InvalidArgumentError(
          absl::StrCat("the stream of worker ", *worker_, " carries a hello of worker ", worker));
    }
    if (state != nullptr) RETURN_IF_ERROR(state->Hello(worker, key.view));
    if (worker_.has_value()) return absl::OkStatus();
    worker_ = worker;
    return service_->streams_.Put({.view = key.view,
                                   .worker = worker,
                                   .token = hello.token(),
                                   .on_genuine =
                                       [service = service_, ticket = ticket_, peer = peer_] {
                                         service->unproven_.Leave(ticket);
                                         service->known_peers_.Add(peer);
                                       }},
                                  sender_);
  }

  // Returns the samples of a micro-batch: the first dimension of a tensor that must have `dims` dimensions.
  absl::StatusOr<int64_t> Samples(const ShardState& state, const char* name, const Key& key, const v1::Tensor& tensor,
                                  int dims) {
    const int64_t most = state.options().batch_size;
    if (tensor.shape_size() == dims && tensor.shape(0) >= 1 && tensor.shape(0) <= most) return tensor.shape(0);
    return absl::InvalidArgumentError(
        absl::StrCat("the ", name, " of ", ToString(key), " has ", tensor.shape_size(), " dimensions",
                     tensor.shape_size() > 0 ? absl::StrCat(", the first ", tensor.shape(0)) : "", "; expected ", dims,
                     " with 1 to ", most, " samples"));
  }

  absl::Status TakeLabels(ShardState* state, const Key& key, const v1::Tensor& tensor) {
    ASSIGN_OR_RETURN(const int64_t samples, Samples(*state, "labels", key, tensor, 1));
    labels_.resize(samples);
    RETURN_IF_ERROR(Named(key, DecodeTensor<int64_t>("labels", {samples}, tensor, absl::MakeSpan(labels_))));
    return state->Labels(*worker_, key, labels_);
  }

  absl::Status TakeEmbedding(ShardState* state, const Key& key, const v1::Tensor& piece) {
    if (!embedding_.has_value()) {
      ASSIGN_OR_RETURN(const int64_t samples, Samples(*state, "embedding", key, piece, 2));
      const int64_t dim = state->options().dim;
      if (piece.shape(1) != dim) {
        return absl::InvalidArgumentError(absl::StrCat("the embedding of ", ToString(key), " has ", piece.shape(1),
                                                       " dimensions per sample, the run has ", dim));
      }
      values_.resize(samples * dim);
      embedding_.emplace("embedding", service_->wire_, std::vector<int64_t>{samples, dim}, absl::MakeSpan(values_));
      embedding_key_ = key;
      if (!row_) row_ = TraceRow(service_->tracer_, absl::StrCat("from worker ", *worker_));  // who is proven by now
      begin_ = row_.Now();
    } else if (!(key == embedding_key_)) {
      return absl::InvalidArgumentError(absl::StrCat("the embedding of ", ToString(embedding_key_),
                                                     " is incomplete: ", ToString(key), " came between its pieces"));
    }
    RETURN_IF_ERROR(Named(key, embedding_->Add(piece)));
    if (!embedding_->complete()) return absl::OkStatus();
    embedding_.reset();
    row_.Add("receive", begin_, row_.Now(), {.step = key.step, .micro_batch = key.micro_batch});
    const int64_t dim = state->options().dim;
    RETURN_IF_ERROR(state->Embedding(*worker_, key, {values_.data(), static_cast<int64_t>(values_.size()) / dim, dim}));
    return absl::OkStatus();
  }

  absl::Status TakeGradient(ShardState* state, const Key& key, const v1::Gradient& gradient) {
    ASSIGN_OR_RETURN(const int64_t samples, Samples(*state, "gradient (r)", key, gradient.r(), 1));
    r_.resize(samples);
    t_.resize(samples);
    RETURN_IF_ERROR(Named(key, DecodeTensor<float>("gradient (r)", {samples}, gradient.r(), absl::MakeSpan(r_))));
    RETURN_IF_ERROR(Named(key, DecodeTensor<float>("gradient (t)", {samples}, gradient.t(), absl::MakeSpan(t_))));
    return state->Gradient(*worker_, key, r_, t_);
  }

  static absl::Status Named(const Key& key, const absl::Status& status) { return Annotate(status, ToString(key)); }

  ShardService* const service_;
  const std::string peer_;  // address of the client
  const WorkerStreams::Sender sender_;
  const WaitingRoom::Ticket ticket_;  // until its token has proven it
  std::optional<uint32_t> worker_;    // the id that the hello claims
  bool proven_ = false;               // the token has proven it
  std::vector<int64_t> labels_;
  std::vector<float> values_;                // of the embedding that is being received
  std::optional<TensorReceiver> embedding_;  // between its first piece and its last
  Key embedding_key_;
  TraceRow row_;         // of what this worker sends
  MonotonicTime begin_;  // of the embedding that is being received
  std::vector<float> r_, t_;
};

ShardService::ShardService(ShardMetrics* metrics)
    : tracer_(metrics->tracer),
      refused_(metrics->refused_messages),
      received_(metrics, kReceived),
      sent_(metrics, kSent),
      unproven_("Hello with its token", kMostUnproven),
      replays_({.state = &state_,
                .sent = sent_,
                .on_genuine = [this](const std::string& peer) { known_peers_.Add(peer); },
                .on_refused =
                    [this](const std::string& peer, const absl::Status& why) {
                      CountRefusal(why);
                      if (absl::IsPermissionDenied(why)) LogRefusal(peer, why.message());
                    }}) {}

void ShardService::ExpectWorkers(uint32_t workers) { unproven_.SetMost(kMostUnproven + workers); }

void ShardService::Attach(ShardState* state) { state_.Attach(state); }

absl::Status ShardService::Admit(const ViewAnnouncement& view, uint32_t own) {
  WorkerStreams::Tokens tokens;
  for (const WorkerMember& worker : view.workers) {
    RETURN_IF_ERROR(CheckToken(view.view, "worker", worker.id, worker.token));
    tokens[worker.id] = worker.token;
  }
  for (const ShardMember& shard : view.shards) {
    RETURN_IF_ERROR(CheckToken(view.view, "shard", shard.id, shard.token));
  }
  for (const absl::Status& refused : streams_.Admit(view.view, std::move(tokens))) CountRefusal(refused);
  replays_.Admit(view, own);
  return absl::OkStatus();
}

std::optional<ShardLoad> ShardService::load() {
  const AttachedState::Use state(&state_);
  if (state.get() == nullptr) return std::nullopt;
  return state->load();
}

Waiting ShardService::waiting() {
  const AttachedState::Use state(&state_);
  return state.get() == nullptr ? Waiting() : state->waiting();
}

void ShardService::ShowLoad(ShardMetrics* metrics) {
  const std::optional<ShardLoad> load = this->load();
  if (!load.has_value()) return;
  metrics->micro_batches_in_flight.Set(static_cast<double>(load->in_flight));
  metrics->queue_depth.With(kPass1Queue).Set(static_cast<double>(load->queued));
  metrics->queue_depth.With(kEarlyQueue).Set(static_cast<double>(load->early));
  metrics->log.Set(static_cast<double>(load->log_bytes));
  metrics->replay.Set(load->replay_seconds);
  // A state that was made anew counts from 0 again.
  const double repeats = static_cast<double>(load->repeats);
  metrics->repeated_messages.Increment(std::max(0.0, repeats - std::exchange(shown_repeats_, repeats)));
}

void ShardService::SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) {
  for (v1::ShardMessage& message : StatisticsMessages(key, statistics, wire_)) {
    sent_.Count(message);
    streams_.Send(worker, std::move(message));
  }
}

void ShardService::Refuse(uint32_t worker, const absl::Status& why) {
  CountRefusal(why);
  streams_.Close(worker, why);
}

void ShardService::CountRefusal(const absl::Status& why) {
  refused_.With(absl::StatusCodeToString(why.code())).Increment();
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>* ShardService::Exchange(
    grpc::CallbackServerContext* context) {
  if (const absl::Status status = Authorize(*context, "Shard.Exchange", {CertifiedRole::kWorker}); !status.ok()) {
    CountRefusal(status);
    return new RefusedCall<grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>>(status);
  }
  return ServerStream<v1::WorkerMessage, v1::ShardMessage>::Start(
      [this, peer = std::string(context->peer())](const WorkerStreams::Sender& sender) {
        return std::make_unique<Handler>(this, peer, sender);
      });
}

grpc::ServerWriteReactor<v1::ReplayPiece>* ShardService::Replay(grpc::CallbackServerContext* context,
                                                                const v1::ReplayRequest* request) {
  if (const absl::Status status = Authorize(*context, "Shard.Replay", {CertifiedRole::kShard}); !status.ok()) {
    CountRefusal(status);
    return new RefusedCall<grpc::ServerWriteReactor<v1::ReplayPiece>>(status);
  }
  received_.Count(*request);
  return replays_.Start(std::string(context->peer()), *request);
}

}  // namespace arcshard::shard
