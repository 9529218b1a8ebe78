#include "shard_server/replay/replay_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/metrics/traffic.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"

namespace arcshard::shard {

// What the client shares with its calls.
struct ReplayClient::Shared {
  explicit Shared(Options with) : options(std::move(with)) {}

  bool too_far_ahead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return passed_on >= applied + kMostAhead; }

  const Options options;
  Mutex mutex;
  CondVar changed;
  int open ABSL_GUARDED_BY(mutex) = 0;                   // calls that gRPC is not done with
  std::shared_ptr<Call> current ABSL_GUARDED_BY(mutex);  // the one whose records count; null: none
  // Of the current call.
  uint64_t passed_on ABSL_GUARDED_BY(mutex) = 0;  // the last step whose record was
  uint64_t applied ABSL_GUARDED_BY(mutex) = 0;    // the last step that was
  bool paused ABSL_GUARDED_BY(mutex) = false;     // no read is under way, and one is to follow
};

// One call of Shard.Replay. It keeps itself alive until gRPC is done with it. A hold keeps gRPC from being done while
// no read is under way; Release removes it, once.
class ReplayClient::Call final : public grpc::ClientReadReactor<v1::ReplayPiece> {
 public:
  Call(std::shared_ptr<Shared> shared, const ReplayOrder& order)
      : shared_(std::move(shared)),
        order_(order),
        receiver_(order.limits, order.after),
        received_(shared_->options.metrics, kReceived) {
    *request_.mutable_view() = ToProto(order.view);
    request_.set_shard(order.shard);
    request_.set_token(order.token);
    *request_.mutable_after() = ToProto(order.after);
    request_.set_until(order.until);
  }

  void Start(std::shared_ptr<Call> self) {
    self_ = std::move(self);
    stub_ = v1::Shard::NewStub(MakeChannel(order_.address, shared_->options.security, CertifiedRole::kShard));
    stub_->async()->Replay(&context_, &request_, this);
    AddHold();
    Read();
    StartCall();
  }
  void Read() { StartRead(&piece_); }
  void Cancel() { context_.TryCancel(); }
  void Release() { RemoveHold(); }

  void OnReadDone(bool ok) override {
    absl::StatusOr<std::shared_ptr<const ReplayRecord>> record;
    if (ok) {
      received_.Count(piece_);
      record = receiver_.Add(piece_);
    }
    MutexLock lock(&shared_->mutex);
    if (!ok || shared_->current.get() != this) {  // the peer has ended the call, it broke, or it was given up
      Release();
      return;
    }
    if (const absl::Status status = PassOn(record); !status.ok()) {
      End(status);
      Cancel();
      Release();
      return;
    }
    shared_->paused = shared_->too_far_ahead();
    if (!shared_->paused) Read();
  }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<Call> last = std::move(self_);  // destroyed when the lock is free
    MutexLock lock(&shared_->mutex);
    if (shared_->current.get() == this) End(status.ok() ? CheckWhole() : FromGrpcStatus(status));
    --shared_->open;
    shared_->changed.NotifyAll();
  }

 private:
  absl::Status PassOn(const absl::StatusOr<std::shared_ptr<const ReplayRecord>>& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_->mutex) {
    RETURN_IF_ERROR(record.status());
    if (*record == nullptr) return absl::OkStatus();
    const uint64_t step = (*record)->after.step;
    if (step > order_.until) {
      return absl::InvalidArgumentError(
          absl::StrCat("the record of step ", step, " came, those up to step ", order_.until, " were asked for"));
    }
    RETURN_IF_ERROR(shared_->options.on_record(order_.view, *record));
    shared_->passed_on = step;
    return absl::OkStatus();
  }

  absl::Status CheckWhole() const {
    if (receiver_.between_records() && receiver_.after().step == order_.until) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("it ended after the record of step ", receiver_.after().step,
                                            ", those up to step ", order_.until, " were asked for"));
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_->mutex) {
    shared_->options.on_ended(
        order_.view, Annotate(status, absl::StrCat("the replay from shard ", order_.peer, " at ", order_.address)));
    shared_->current.reset();
  }

  const std::shared_ptr<Shared> shared_;
  const ReplayOrder order_;
  std::shared_ptr<Call> self_;
  std::unique_ptr<v1::Shard::Stub> stub_;
  grpc::ClientContext context_;
  v1::ReplayRequest request_;
  v1::ReplayPiece piece_;
  RecordReceiver receiver_;
  Traffic received_;
};

ReplayClient::ReplayClient(Options options) : shared_(std::make_shared<Shared>(std::move(options))) {}

ReplayClient::~ReplayClient() {
  Cancel();
  MutexLock lock(&shared_->mutex);
  while (shared_->open > 0) shared_->changed.Wait(&shared_->mutex);
}

void ReplayClient::Begin(const ReplayOrder& order) {
  Cancel();
  const auto call = std::make_shared<Call>(shared_, order);
  MutexLock lock(&shared_->mutex);
  ++shared_->open;
  shared_->current = call;
  shared_->passed_on = shared_->applied = order.after.step;
  shared_->paused = false;
  call->Start(call);
}

void ReplayClient::Cancel() {
  std::shared_ptr<Call> last;  // destroyed when the lock is free
  MutexLock lock(&shared_->mutex);
  last = std::move(shared_->current);
  if (last == nullptr) return;
  last->Cancel();
  if (std::exchange(shared_->paused, false)) last->Release();  // otherwise the read that is under way does
}

void ReplayClient::Applied(uint64_t step) {
  MutexLock lock(&shared_->mutex);
  shared_->applied = step;
  if (shared_->current == nullptr || !shared_->paused || shared_->too_far_ahead()) return;
  shared_->paused = false;
  shared_->current->Read();
}

}  // namespace arcshard::shard
