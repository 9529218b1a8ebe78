#include "tests/faults/relay.h"

#include <grpcpp/create_channel.h>

#include <utility>

#include "arcshard/v1/coordinator.pb.h"
#include "arcshard/v1/shard.pb.h"
#include "tests/faults/message_types.h"

namespace arcshard::faults {
namespace {

// A connection of its own, which tries again soon where nobody listens yet.
std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

std::function<void()> Outbox::Written(bool ok) {
  writing_ = false;
  std::function<void()> then = std::move(items_.front().then);
  items_.pop_front();
  if (ok) return then;
  items_.clear();  // the side is gone
  return nullptr;
}

const grpc::ByteBuffer* Outbox::Next() {
  if (writing_ || items_.empty()) return nullptr;
  writing_ = true;
  return &items_.front().bytes;
}

std::function<void()> Outbox::TakeEnd() { return writing_ || !items_.empty() ? nullptr : std::exchange(end_, nullptr); }

grpc::ServerGenericBidiReactor* Relay::Open(Proxy* proxy, grpc::GenericCallbackServerContext* context,
                                            const std::string& shard) {
  const std::shared_ptr<Relay> relay(new Relay(proxy, StreamOf(context->method()), shard));
  relay->caller_.relay = relay->callee_.relay = relay;
  relay->Connect(context->method());
  return &relay->caller_;
}

void Relay::Connect(const std::string& path) {
  stub_ = std::make_unique<grpc::GenericStub>(ChannelTo(proxy_->Target(shard_)));
  context_.set_wait_for_ready(shard_.empty());
  stub_->PrepareBidiStreamingCall(&context_, path, {}, &callee_);
  callee_.AddHold();  // until it reads no more
  callee_.StartRead(&callee_.read);
  callee_.StartCall();
  caller_.StartRead(&caller_.read);
}

// --- From one side

void Relay::FromCaller(bool ok) {
  if (ok) {
    Forward(/*from_caller=*/true, caller_.read);
    MutexLock lock(&mutex_);
    if (!finished_) caller_.StartRead(&caller_.read);
    return;
  }
  {
    MutexLock lock(&mutex_);
    to_callee_.EndWith([this] { callee_.StartWritesDone(); });
  }
  WriteToCallee();
}

void Relay::FromCallee(bool ok) {
  if (ok) {
    Forward(/*from_caller=*/false, callee_.read);
    callee_.StartRead(&callee_.read);
    return;
  }
  {
    MutexLock lock(&mutex_);
    callee_reads_ = false;
  }
  callee_.RemoveHold();
}

void Relay::CallerGone() {
  Peer who;
  bool known;
  {
    MutexLock lock(&mutex_);
    who = who_;
    known = known_;
    to_callee_.EndWith([this] { context_.TryCancel(); });
    if (!connected_) context_.TryCancel();  // nobody is there to take what was sent
  }
  if (known) proxy_->Ended(who, CalleePeer());
  WriteToCallee();
}

void Relay::CalleeEnded(const grpc::Status& status) {
  Peer who;
  bool known;
  {
    MutexLock lock(&mutex_);
    who = who_;
    known = known_;
    const grpc::Status told = broken_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the link is broken") : status;
    to_caller_.EndWith([this, told] {
      {
        MutexLock finishing(&mutex_);
        finished_ = true;
      }
      caller_.Finish(told);
    });
  }
  if (known && stream_ == "Attend") proxy_->Left(who.party);
  if (known) proxy_->Ended(CalleePeer(), who);
  WriteToCaller();
}

// --- Messages

void Relay::Forward(bool from_caller, const grpc::ByteBuffer& bytes) {
  Outbox::Item item{bytes, nullptr};
  const std::unique_ptr<google::protobuf::Message> message = Decode(stream_, from_caller, bytes);
  if (message != nullptr) {
    if (Learn(message.get())) item.bytes = Encode(*message);
    Peer who;
    {
      MutexLock lock(&mutex_);
      who = who_;
    }
    const Peer callee = CalleePeer();
    Verdict verdict = proxy_->Pass(
        {TypeOf(stream_, *message), from_caller ? who : callee, from_caller ? callee : who, message.get()});
    if (verdict.breaks) Break();
    if (!verdict.forwards) return;
    if (verdict.instead.has_value()) item.bytes = *verdict.instead;
    item.then = std::move(verdict.then);
  }
  {
    MutexLock lock(&mutex_);
    if (broken_) return;
    (from_caller ? to_callee_ : to_caller_).Add(std::move(item));
  }
  from_caller ? WriteToCallee() : WriteToCaller();
}

bool Relay::Learn(google::protobuf::Message* message) {
  MutexLock lock(&mutex_);
  if (auto* const up = dynamic_cast<v1::ParticipantMessage*>(message); up != nullptr && up->has_register_()) {
    who_ = proxy_->Registers(up->mutable_register_());
    known_ = true;
    return true;
  }
  if (const auto* const down = dynamic_cast<v1::CoordinatorMessage*>(message); down != nullptr && down->has_welcome()) {
    proxy_->Seated(down->welcome().id(), &who_);
  } else if (const auto* const sent = dynamic_cast<v1::WorkerMessage*>(message); sent != nullptr && sent->has_hello()) {
    who_ = proxy_->Of({Kind::kWorker, sent->hello().worker()});
    known_ = true;
  } else if (const auto* const asks = dynamic_cast<v1::ReplayRequest*>(message); asks != nullptr) {
    who_ = proxy_->Of({Kind::kShard, asks->shard()});
    known_ = true;
  }
  return false;
}

Peer Relay::CalleePeer() const { return shard_.empty() ? proxy_->Of({Kind::kCoordinator, 0}) : proxy_->At(shard_); }

void Relay::Break() {
  {
    MutexLock lock(&mutex_);
    broken_ = true;
  }
  context_.TryCancel();
}

// --- To one side

void Relay::WrittenToCaller(bool ok) {
  std::function<void()> then;
  {
    MutexLock lock(&mutex_);
    then = to_caller_.Written(ok);
  }
  if (then != nullptr) then();
  WriteToCaller();
}

void Relay::WrittenToCallee(bool ok) {
  std::function<void()> then;
  {
    MutexLock lock(&mutex_);
    then = to_callee_.Written(ok);
    connected_ = true;
  }
  if (then != nullptr) then();
  WriteToCallee();
}

void Relay::WriteToCaller() {
  const grpc::ByteBuffer* next;
  std::function<void()> end;
  {
    MutexLock lock(&mutex_);
    next = to_caller_.Next();
    end = to_caller_.TakeEnd();
  }
  if (next != nullptr) caller_.StartWrite(next);
  if (end != nullptr) end();
}

// What is for a callee that has ended is dropped.
void Relay::WriteToCallee() {
  MutexLock lock(&mutex_);
  if (!callee_reads_) return;
  // While the hold of Connect is there.
  if (const grpc::ByteBuffer* const next = to_callee_.Next(); next != nullptr) callee_.StartWrite(next);
  if (const std::function<void()> end = to_callee_.TakeEnd(); end != nullptr) end();
}

}  // namespace arcshard::faults
