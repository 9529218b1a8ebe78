#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/attend_stream.h"
#include "client/participant.h"
#include "client/rejoin.h"
#include "common/base/mutex.h"

namespace arcshard::client {

// How messages name the coordinator.
inline std::string Whom(const std::string& coordinator) { return "the coordinator at " + coordinator; }

// Streams come one after the other: the next one begins once OnDetached has returned, so events come one at a time. One
// thread sends the heartbeats, notices silence, connects again and gives up; gRPC's threads receive.
class GrpcParticipant final : public Participant, private AttendStream::Receiver {
 public:
  GrpcParticipant(ParticipantOptions options, const std::shared_ptr<grpc::Channel>& channel, ParticipantEvents* events);
  ~GrpcParticipant() override;

  void Send(const ParticipantMessage& message) override;
  void Attach(Registration registration) override;
  void SetTimeouts(absl::Duration heartbeat_timeout, absl::Duration rejoin_timeout) override;

 private:
  enum class State {
    kRegistered,  // a stream is open
    kDetaching,   // OnDetached is being called
    kDetached,    // no stream is open; the thread may be connecting
    kClosing,     // OnClosed is being called
    kClosed
  };
  enum class Work { kBeat, kConnect, kGiveUp, kEnd };

  // Opens a stream and registers on it.
  void Register(const Registration& registration, const std::shared_ptr<grpc::Channel>& channel);

  absl::Status OnMessage(const CoordinatorMessage& message) override;
  absl::Status Accept(const Welcome& welcome);
  void OnEnded(const absl::Status& status, bool own_error) override;
  void Close(const absl::Status& status);

  // False: the stream counts as lost already, and what still comes is not received.
  bool Heard();
  // From now on the open stream counts as lost, because of `why`.
  void Lose(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the owner is told of the end of a stream that was lost.
  absl::Status WhyLost(const absl::Status& status) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The thread's.
  void Live();
  Work AwaitWork();
  // Both return when to look again, which is now if they set `work`, since something is due.
  MonotonicTime LookAfterStream(MonotonicTime now, std::optional<Work>* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MonotonicTime LookAfterReturn(MonotonicTime now, std::optional<Work>* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Beat();
  void Connect();
  absl::Status WhyNotToConnect();
  absl::Status WhyGivenUp();

  const ParticipantOptions options_;
  ParticipantEvents* const events_;

  Mutex mutex_;
  CondVar changed_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kRegistered;
  bool leaves_ ABSL_GUARDED_BY(mutex_) = false;  // this is being destroyed
  absl::Duration heartbeat_interval_ ABSL_GUARDED_BY(mutex_);
  absl::Duration heartbeat_timeout_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  Rejoin rejoin_ ABSL_GUARDED_BY(mutex_);
  std::optional<Registration> next_ ABSL_GUARDED_BY(mutex_);  // of the last Attach, until it is sent
  bool returns_ ABSL_GUARDED_BY(mutex_) = false;              // after a loss: was welcomed, or is a spare
  uint64_t incarnation_ ABSL_GUARDED_BY(mutex_) = 0;          // the highest of a Welcome
  std::optional<LeavingReport> leaving_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime look_again_ ABSL_GUARDED_BY(mutex_);  // when the thread wants to

  // Of the last stream.
  std::shared_ptr<AttendStream> stream_ ABSL_GUARDED_BY(mutex_);  // null: it has ended, or has not registered yet
  bool waits_for_place_ ABSL_GUARDED_BY(mutex_) = false;          // as a spare: the Welcome may take hours
  MonotonicTime last_beat_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime last_heard_ ABSL_GUARDED_BY(mutex_);
  absl::Status lost_ ABSL_GUARDED_BY(mutex_);       // why it counts as lost before it has ended
  bool disobeyed_ ABSL_GUARDED_BY(mutex_) = false;  // it counts as lost since its coordinator's incarnation is too low

  std::thread thread_;
};

}  // namespace arcshard::client
