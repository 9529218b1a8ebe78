#include "shard_server/service/replay_streams.h"

#include "absl/strings/str_cat.h"
#include "common/base/token.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/status.h"
#include "shard_server/replay/record_encoder.h"

namespace arcshard::shard {
namespace {

absl::Status NotItsToken(uint32_t shard) {
  return absl::PermissionDeniedError(
      absl::StrCat("the replay for shard ", shard, " was asked for without the token that the coordinator gave it"));
}

absl::Status OlderView(const View& asked, const View& view) {
  return absl::FailedPreconditionError(
      absl::StrCat("a replay was asked for in ", ToString(asked), ", but this shard is in ", ToString(view)));
}

}  // namespace

// One call. It keeps itself alive until gRPC is done with it. It has one message in memory: the next one is made when
// gRPC has taken the one before, so a reader that pauses makes it pause.
class ReplayStream final : public grpc::ServerWriteReactor<v1::ReplayPiece> {
 public:
  // Who asks.
  struct Claim {
    View view;
    uint32_t shard = 0;
    std::string token;
    std::string peer;  // as gRPC names it
  };

  ReplayStream(ReplayStreams* owner, const std::string& peer, const v1::ReplayRequest& request)
      : owner_(owner),
        claim_{FromProto(request.view()), request.shard(), request.token(), peer},
        until_(request.until()),
        sent_(owner->options_.sent),
        after_(FromProto(request.after())) {}

  static std::shared_ptr<ReplayStream> Create(ReplayStreams* owner, const std::string& peer,
                                              const v1::ReplayRequest& request) {
    auto stream = std::make_shared<ReplayStream>(owner, peer, request);
    stream->self_ = stream;
    return stream;
  }

  const Claim& claim() const { return claim_; }

  void Send() {
    MutexLock lock(&mutex_);
    if (sending_) return;
    sending_ = true;
    Pump();
  }
  // Ends the call with `status` as soon as the message that is being written is.
  void End(const absl::Status& status) {
    MutexLock lock(&mutex_);
    EndLocked(status);
    Pump();
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) EndLocked(absl::CancelledError("the call broke"));
    Pump();
  }
  void OnCancel() override { End(absl::CancelledError("the call broke")); }
  void OnDone() override {
    const std::shared_ptr<ReplayStream> last = std::move(self_);
    owner_->Remove(last);
  }

 private:
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!end_.has_value()) end_ = status;
  }

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (sending_ && !end_.has_value()) MakeNext();
    if (end_.has_value()) {
      finished_ = true;
      Finish(ToGrpcStatus(*end_));
    }
  }

  // Writes the next message, or ends the call.
  void MakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!encoder_.has_value() || !encoder_->Next(&message_)) {
      if (encoder_.has_value()) after_ = encoder_->record().after;
      encoder_.reset();
      if (after_.step >= until_) return EndLocked(absl::OkStatus());
      const AttachedState::Use state(owner_->options_.state);
      if (state.get() == nullptr) return EndLocked(absl::FailedPreconditionError("this shard has left the view"));
      absl::StatusOr<std::shared_ptr<const ReplayRecord>> record = state->RecordAfter(after_);
      if (absl::IsOutOfRange(record.status())) return EndLocked(absl::OkStatus());
      if (!record.ok()) {
        owner_->options_.on_refused(claim_.peer, record.status());
        return EndLocked(record.status());
      }
      encoder_.emplace(*std::move(record));
    }
    sent_.Count(message_);
    writing_ = true;
    StartWrite(&message_);
  }

  ReplayStreams* const owner_;
  const Claim claim_;
  const uint64_t until_;
  std::shared_ptr<ReplayStream> self_;
  Mutex mutex_;
  Traffic sent_ ABSL_GUARDED_BY(mutex_);
  StatePoint after_ ABSL_GUARDED_BY(mutex_);  // of the last record that was sent whole
  std::optional<RecordEncoder> encoder_ ABSL_GUARDED_BY(mutex_);
  v1::ReplayPiece message_ ABSL_GUARDED_BY(mutex_);  // that gRPC is writing, while writing_
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);  // with which the call ends
};

grpc::ServerWriteReactor<v1::ReplayPiece>* ReplayStreams::Start(const std::string& peer,
                                                                const v1::ReplayRequest& request) {
  const StreamPtr stream = ReplayStream::Create(this, peer, request);
  const View& view = stream->claim().view;
  MutexLock lock(&mutex_);
  if (view == view_) {
    if (const absl::Status refused = Place(stream); !refused.ok()) End(stream, refused);
  } else if (view < view_) {
    End(stream, OlderView(view, view_));
  } else if (stream->claim().token.size() != kTokenBytes) {  // and need not wait
    End(stream, NotItsToken(stream->claim().shard));
  } else {
    early_.push_back(stream);
    if (early_.size() > kMostEarly) {
      End(early_.front(), absl::ResourceExhaustedError(absl::StrCat(
                              "more than ", kMostEarly, " replays wait for a view; this one has waited longest")));
      early_.pop_front();
    }
  }
  return stream.get();
}

void ReplayStreams::Admit(const ViewAnnouncement& view, uint32_t own) {
  MutexLock lock(&mutex_);
  if (view.view <= view_) return;
  view_ = view.view;
  has_log_ = joined_ = false;
  tokens_.clear();
  for (const ShardMember& shard : view.shards) {
    tokens_[shard.id] = shard.token;
    if (shard.id == own) has_log_ = shard.has_log;
  }
  for (const auto& [shard, stream] : placed_) End(stream, OlderView(stream->claim().view, view_));
  placed_.clear();
  std::list<StreamPtr> early;
  early.swap(early_);
  for (const StreamPtr& stream : early) {
    if (stream->claim().view > view_) {
      early_.push_back(stream);
    } else if (stream->claim().view < view_) {
      End(stream, OlderView(stream->claim().view, view_));
    } else if (const absl::Status refused = Place(stream); !refused.ok()) {
      End(stream, refused);
    }
  }
}

void ReplayStreams::Joined(const View& view) {
  MutexLock lock(&mutex_);
  if (view != view_) return;
  joined_ = true;
  for (const auto& [shard, stream] : placed_) stream->Send();
}

absl::Status ReplayStreams::Place(const StreamPtr& stream) {
  const ReplayStream::Claim& claim = stream->claim();
  const auto token = tokens_.find(claim.shard);
  if (token == tokens_.end()) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view_), " has no shard ", claim.shard));
  }
  if (!SameToken(token->second, claim.token)) return NotItsToken(claim.shard);
  options_.on_genuine(claim.peer);
  if (!has_log_) {
    return absl::FailedPreconditionError(
        absl::StrCat("this shard has no log that leads from the base of ", ToString(view_), " to its state"));
  }
  StreamPtr& placed = placed_[claim.shard];
  if (placed != nullptr) End(placed, absl::AbortedError(absl::StrCat("shard ", claim.shard, " has asked again")));
  placed = stream;
  if (joined_) stream->Send();
  return absl::OkStatus();
}

void ReplayStreams::End(const StreamPtr& stream, const absl::Status& why) {
  options_.on_refused(stream->claim().peer, why);
  stream->End(why);
}

void ReplayStreams::Remove(const StreamPtr& stream) {
  MutexLock lock(&mutex_);
  early_.remove(stream);
  const auto placed = placed_.find(stream->claim().shard);
  if (placed != placed_.end() && placed->second == stream) placed_.erase(placed);
}

}  // namespace arcshard::shard
