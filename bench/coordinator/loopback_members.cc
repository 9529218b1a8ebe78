#include "bench/coordinator/loopback_members.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/attend_stream.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"

namespace arcshard::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(5);
constexpr absl::Duration kHeartbeatInterval = absl::Seconds(1);  // cluster.heartbeat_interval's default

// A connection of its own, as MakeChannel's, but without keep-alive: thousands of members on few cores may be late.
// Real members send no pings either, since they hear the coordinator's pulses.
std::shared_ptr<grpc::Channel> ChannelTo(const std::string& coordinator) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(coordinator, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

class LoopbackMembers::Member final : public client::AttendStream::Receiver {
 public:
  Member(const SimulatedMember& member, LoopbackMembers* all) : member_(member), all_(all) {}

  absl::Status Attend(const std::string& coordinator) {
    const std::shared_ptr<grpc::Channel> channel = ChannelTo(coordinator);
    RETURN_IF_ERROR(AwaitConnected(channel.get(), "the coordinator", kPatience));
    {
      MutexLock lock(&all_->mutex_);
      ++all_->open_;
    }
    auto stream = client::AttendStream::Open(channel, nullptr, this);
    MutexLock lock(&mutex_);
    stream->Send(member_.registration());
    if (member_.role() == Role::kWorker) stream->Send(SimulatedMember::dataset());
    stream_ = std::move(stream);
    return absl::OkStatus();
  }
  void Cancel() {
    MutexLock lock(&mutex_);
    if (stream_ != nullptr) stream_->Cancel();
  }
  void Vote() {
    MutexLock lock(&mutex_);
    stream_->Send(member_.vote());
  }
  void Beat() {
    MutexLock lock(&mutex_);
    if (stream_ != nullptr) stream_->Send(member_.Beat());
  }

  absl::Status OnMessage(const CoordinatorMessage& message) override {
    MutexLock lock(&mutex_);
    const uint64_t before = member_.planned_step();
    member_.Hear(message);
    if (std::holds_alternative<ViewAnnouncement>(message)) stream_->Send(member_.joined());
    if (member_.planned_step() != before) all_->NotePlanned(member_.planned_step());
    return absl::OkStatus();
  }
  void OnEnded(const absl::Status& status, bool) override { all_->NoteEnded(status); }

 private:
  Mutex mutex_;
  SimulatedMember member_ ABSL_GUARDED_BY(mutex_);
  LoopbackMembers* const all_;
  std::shared_ptr<client::AttendStream> stream_ ABSL_GUARDED_BY(mutex_);
};

LoopbackMembers::LoopbackMembers(const Size& size, const Clock* clock) : clock_(clock) {
  for (const SimulatedMember& member : MembersOf(size)) members_.push_back(std::make_unique<Member>(member, this));
}

LoopbackMembers::~LoopbackMembers() {
  {
    MutexLock lock(&mutex_);
    leaves_ = true;
    changed_.NotifyAll();
  }
  if (beats_.joinable()) beats_.join();
  for (const std::unique_ptr<Member>& member : members_) member->Cancel();
  MutexLock lock(&mutex_);
  while (open_ > 0) changed_.Wait(&mutex_);
}

absl::Status LoopbackMembers::Join(const std::string& coordinator) {
  SetAwaited(++step_);
  beats_ = std::thread([this] { SendBeats(); });
  for (const std::unique_ptr<Member>& member : members_) RETURN_IF_ERROR(member->Attend(coordinator));
  return AwaitPlanned();
}

absl::StatusOr<LoopbackMembers::StepTimes> LoopbackMembers::Step() {
  SetAwaited(++step_);
  const MonotonicTime begin = clock_->Now();
  for (const std::unique_ptr<Member>& member : members_) member->Vote();
  const MonotonicTime last = clock_->Now();
  RETURN_IF_ERROR(AwaitPlanned());
  const MonotonicTime end = clock_->Now();
  return StepTimes{end - begin, end - last};
}

void LoopbackMembers::SetAwaited(uint64_t step) {
  MutexLock lock(&mutex_);
  awaited_ = step;
  missing_ = members_.size();
}

absl::Status LoopbackMembers::AwaitPlanned() {
  const MonotonicTime deadline = clock_->Now() + kPatience;
  MutexLock lock(&mutex_);
  while (missing_ > 0 && failure_.ok() && clock_->Now() < deadline) changed_.WaitFor(&mutex_, deadline - clock_->Now());
  if (failure_.ok() && missing_ > 0) {
    return absl::DeadlineExceededError(
        absl::StrCat(missing_, " of ", members_.size(), " members wait in vain for step ", awaited_));
  }
  return failure_;
}

void LoopbackMembers::NotePlanned(uint64_t step) {
  MutexLock lock(&mutex_);
  if (step == awaited_ && --missing_ == 0) changed_.NotifyAll();
}

void LoopbackMembers::NoteEnded(const absl::Status& status) {
  MutexLock lock(&mutex_);
  --open_;
  if (failure_.ok() && !leaves_) {
    failure_ = status.ok() ? absl::UnavailableError("the coordinator has ended a stream") : status;
  }
  changed_.NotifyAll();
}

// Spreads the heartbeats over their interval.
void LoopbackMembers::SendBeats() {
  MonotonicTime next = clock_->Now();
  for (size_t member = 0;; member = (member + 1) % members_.size()) {
    next += kHeartbeatInterval / members_.size();
    {
      MutexLock lock(&mutex_);
      while (!leaves_ && clock_->Now() < next) clock_->WaitUntil(next, &mutex_, &changed_);
      if (leaves_) return;
    }
    members_[member]->Beat();
  }
}

}  // namespace arcshard::bench
