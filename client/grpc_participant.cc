#include "client/grpc_participant.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/this_process.h"
#include "common/io/log.h"
#include "common/rpc/endpoint.h"

namespace arcshard::client {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string Rounded(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Milliseconds(100)));
}

Registration OfThisProcess(Registration registration) {
  registration.host = HostName();
  registration.pid = getpid();
  return registration;
}

}  // namespace

GrpcParticipant::GrpcParticipant(ParticipantOptions options, const std::shared_ptr<grpc::Channel>& channel,
                                 ParticipantEvents* events)
    : options_(std::move(options)),
      events_(events),
      heartbeat_interval_(options_.heartbeat_interval),
      rejoin_(options_.rejoin_timeout) {
  // First: whoever sees that this process has registered may tell it to end at once.
  if (options_.departure != nullptr) options_.departure->Begin(this);
  Register(OfThisProcess(options_.registration), channel);
  thread_ = std::thread([this] { Live(); });
}

GrpcParticipant::~GrpcParticipant() {
  if (options_.departure != nullptr) options_.departure->End();
  {
    MutexLock lock(&mutex_);
    leaves_ = true;
    if (stream_ != nullptr) stream_->Cancel();
    changed_.NotifyAll();
  }
  thread_.join();
}

void GrpcParticipant::Send(const ParticipantMessage& message) {
  std::shared_ptr<AttendStream> stream;
  {
    MutexLock lock(&mutex_);
    if (const auto* const leaving = std::get_if<LeavingReport>(&message)) {
      leaving_ = *leaving;
      rejoin_.OnToldToEnd(options_.clock->Now());
      changed_.NotifyAll();
    }
    stream = stream_;
  }
  if (stream != nullptr) stream->Send(message);
}

void GrpcParticipant::Attach(Registration registration) {
  registration = OfThisProcess(std::move(registration));
  MutexLock lock(&mutex_);
  if (state_ != State::kDetaching && state_ != State::kDetached) return;
  next_ = std::move(registration);
  changed_.NotifyAll();
}

void GrpcParticipant::SetTimeouts(absl::Duration heartbeat_timeout, absl::Duration rejoin_timeout) {
  MutexLock lock(&mutex_);
  heartbeat_timeout_ = heartbeat_timeout;
  rejoin_.SetTimeout(rejoin_timeout);
  changed_.NotifyAll();
}

void GrpcParticipant::Register(const Registration& registration, const std::shared_ptr<grpc::Channel>& channel) {
  {
    MutexLock lock(&mutex_);
    state_ = State::kRegistered;
    returns_ = returns_ || registration.spare;
    waits_for_place_ = registration.spare;
    lost_ = absl::OkStatus();
    disobeyed_ = false;
    last_beat_ = last_heard_ = look_again_ = options_.clock->Now();
    rejoin_.OnTry(last_heard_);
  }
  const std::shared_ptr<AttendStream> stream = AttendStream::Open(channel, options_.metrics, this);
  MutexLock lock(&mutex_);
  if (state_ != State::kRegistered) return;  // it has ended already
  stream->Send(registration);                // before any other message
  if (leaving_.has_value()) stream->Send(*leaving_);
  if (leaves_) stream->Cancel();
  stream_ = stream;
}

// --- What the coordinator sends, on gRPC's threads

absl::Status GrpcParticipant::OnMessage(const CoordinatorMessage& message) {
  if (!Heard()) return absl::OkStatus();
  return std::visit(
      Overloaded{[this](const Welcome& welcome) { return Accept(welcome); },
                 [this](const ViewAnnouncement& view) { return events_->OnView(view); },
                 [this](const Install& install) { return events_->OnInstall(install); },
                 [this](const Decision& decision) { return events_->OnDecision(decision); },
                 [this](const Proceed& proceed) { return events_->OnProceed(proceed); },
                 [this](const CheckpointSettled& settled) { return events_->OnCheckpointSettled(settled); },
                 [](const Pulse&) { return absl::OkStatus(); }},
      message);
}

bool GrpcParticipant::Heard() {
  MutexLock lock(&mutex_);
  if (!lost_.ok()) return false;
  last_heard_ = options_.clock->Now();
  if (waits_for_place_) rejoin_.OnWelcomed();  // a spare is taken in as such
  return true;
}

absl::Status GrpcParticipant::Accept(const Welcome& welcome) {
  {
    MutexLock lock(&mutex_);
    if (welcome.incarnation < incarnation_) {
      disobeyed_ = true;
      Lose(absl::UnavailableError(absl::StrCat(Whom(options_.coordinator), " is of incarnation ", welcome.incarnation,
                                               "; this process obeys none before ", incarnation_)));
      return absl::OkStatus();
    }
    if (const auto since = rejoin_.lost_since(); since.has_value()) {
      LogInfo(absl::StrCat("registered again with ", Whom(options_.coordinator), ", ",
                           Rounded(options_.clock->Now() - *since), " after it was lost"));
    }
    incarnation_ = welcome.incarnation;
    returns_ = true;
    rejoin_.OnWelcomed();
    if (welcome.heartbeat_interval > absl::ZeroDuration()) heartbeat_interval_ = welcome.heartbeat_interval;
    changed_.NotifyAll();
  }
  return events_->OnWelcome(welcome);
}

void GrpcParticipant::OnEnded(const absl::Status& status, bool own_error) {
  absl::Status why = status;
  bool returns = false;
  {
    MutexLock lock(&mutex_);
    stream_.reset();
    if (!leaves_ && (disobeyed_ || (!own_error && MeansLost(status)))) {
      why = WhyLost(status);
      returns = returns_;
    }
    state_ = returns ? State::kDetaching : State::kClosing;
    if (returns) rejoin_.OnLost(options_.clock->Now());
  }
  if (!returns) return Close(why);
  LogInfo(why.message());
  events_->OnDetached(why);
  MutexLock lock(&mutex_);
  state_ = State::kDetached;
  changed_.NotifyAll();
}

absl::Status GrpcParticipant::WhyLost(const absl::Status& status) const {
  if (!lost_.ok()) return lost_;
  const std::string reason = status.message().empty() ? "" : absl::StrCat(" (", status.message(), ")");
  return absl::UnavailableError(absl::StrCat("lost ", Whom(options_.coordinator), reason));
}

void GrpcParticipant::Lose(const absl::Status& why) {
  lost_ = why;
  if (stream_ != nullptr) stream_->Cancel();
}

void GrpcParticipant::Close(const absl::Status& status) {
  events_->OnClosed(status);
  MutexLock lock(&mutex_);
  state_ = State::kClosed;
  changed_.NotifyAll();
}

// --- The thread

void GrpcParticipant::Live() {
  while (true) {
    switch (AwaitWork()) {
      case Work::kBeat:
        Beat();
        break;
      case Work::kConnect:
        Connect();
        break;
      case Work::kGiveUp:
        Close(WhyGivenUp());
        break;
      case Work::kEnd:
        return;
    }
  }
}

GrpcParticipant::Work GrpcParticipant::AwaitWork() {
  MutexLock lock(&mutex_);
  while (state_ != State::kClosed) {
    const MonotonicTime now = options_.clock->Now();
    const absl::Duration late = now - look_again_;
    // This process was stopped or starved, so the silence may be its own.
    if (late > heartbeat_timeout_ / 2) last_heard_ = std::min(now, last_heard_ + late);
    std::optional<Work> work;
    look_again_ = MonotonicTime::InfiniteFuture();
    if (state_ == State::kRegistered) look_again_ = LookAfterStream(now, &work);
    if (state_ == State::kDetached) look_again_ = LookAfterReturn(now, &work);
    if (work.has_value()) return *work;
    options_.clock->WaitUntil(look_again_, &mutex_, &changed_);
  }
  return Work::kEnd;
}

MonotonicTime GrpcParticipant::LookAfterStream(MonotonicTime now, std::optional<Work>* work) {
  if (!lost_.ok()) return MonotonicTime::InfiniteFuture();  // it ends soon
  const MonotonicTime silent = last_heard_ + heartbeat_timeout_;
  const MonotonicTime end = std::min(silent, rejoin_.gives_up_at());
  if (now >= end) {
    const std::string reason = now >= silent ? absl::StrCat("no sign of life for ", Rounded(now - last_heard_))
                                             : "it has not taken this process in again";
    Lose(absl::UnavailableError(absl::StrCat("lost ", Whom(options_.coordinator), " (", reason, ")")));
    return MonotonicTime::InfiniteFuture();
  }
  const MonotonicTime beat = last_beat_ + heartbeat_interval_;
  if (now < beat) return std::min(beat, end);
  last_beat_ = now;
  *work = Work::kBeat;
  return now;
}

MonotonicTime GrpcParticipant::LookAfterReturn(MonotonicTime now, std::optional<Work>* work) {
  if (leaves_ || now >= rejoin_.gives_up_at()) {
    state_ = State::kClosing;
    *work = Work::kGiveUp;
    return now;
  }
  if (!next_.has_value()) return rejoin_.gives_up_at();
  if (now < rejoin_.next_try()) return std::min(rejoin_.next_try(), rejoin_.gives_up_at());
  *work = Work::kConnect;
  return now;
}

void GrpcParticipant::Beat() {
  HeartbeatReport beat;
  if (options_.stats) beat.stats = options_.stats();
  Send(beat);
}

void GrpcParticipant::Connect() {
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(options_.coordinator, options_.security, CertifiedRole::kCoordinator);
  const absl::Status connected = AwaitConnected(channel.get(), Whom(options_.coordinator), absl::InfiniteDuration(),
                                                [this] { return WhyNotToConnect(); });
  if (!connected.ok()) return;  // the thread gives up for the same reason
  std::optional<Registration> registration;
  {
    MutexLock lock(&mutex_);
    registration.swap(next_);
  }
  Register(*registration, channel);
}

absl::Status GrpcParticipant::WhyNotToConnect() {
  MutexLock lock(&mutex_);
  if (!leaves_ && options_.clock->Now() < rejoin_.gives_up_at()) return absl::OkStatus();
  return absl::CancelledError("the participant gives up");
}

absl::Status GrpcParticipant::WhyGivenUp() {
  MutexLock lock(&mutex_);
  if (leaves_) return absl::CancelledError("the participant leaves");
  const std::string since = Rounded(options_.clock->Now() - *rejoin_.lost_since());
  const std::string lost =
      absl::StrCat("lost ", Whom(options_.coordinator), " and could not reach it again for ", since);
  if (!leaving_.has_value()) return absl::UnavailableError(lost);
  return absl::UnavailableError(absl::StrCat("told to end by ", leaving_->reason, "; ", lost));
}

}  // namespace arcshard::client
