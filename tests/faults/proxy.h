#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

// Between the processes of a run: all of their streams go through this one, message by message.
namespace arcshard::faults {

enum class Kind { kCoordinator, kShard, kWorker };

// A place in a run.
struct Party {
  Kind kind = Kind::kCoordinator;
  uint32_t id = 0;
  friend auto operator<=>(const Party&, const Party&) = default;
};
std::string ToString(const Party& party);  // "Shard1"

struct Peer {
  Party party;
  pid_t pid = 0;
};

// A message on its way.
struct Passage {
  std::string type;  // message_types.h
  Peer from, to;
  const google::protobuf::Message* message = nullptr;
};

struct Verdict {
  bool forwards = true;
  std::optional<grpc::ByteBuffer> instead = std::nullopt;  // of the message
  bool breaks = false;                                     // the stream breaks, for both sides
  std::function<void()> then = nullptr;                    // once the message is written to the receiver's connection
};

// Is asked about each message, and told of the ends of streams. Called by gRPC's threads, one call at a time.
class Inspector {
 public:
  virtual ~Inspector() = default;
  virtual Verdict Inspect(const Passage& passage) = 0;
  // `from` has ended a stream to `to`, in order or not.
  virtual void Ended(const Peer& from, const Peer& to) = 0;
};

class Front;

// Participants reach the coordinator here. Shards register with an address of this proxy, so that workers and other
// shards reach them through it as well. A call to a coordinator that is not there waits until it is; one to a shard
// that is not there fails. Thread-safe.
class Proxy {
 public:
  explicit Proxy(Inspector* inspector);
  ~Proxy();  // ends all streams

  const std::string& address() const { return address_; }
  // The coordinator has been started: it listens, or will listen, there. No address: it is not known yet.
  void SetCoordinator(const std::string& address, pid_t pid);

  // For the streams.
  std::string Target(const std::string& shard) const;  // empty `shard`: the coordinator's address
  Verdict Pass(Passage passage);
  void Ended(const Peer& from, const Peer& to);
  // A participant registers: who it is, as far as one can know. Its address is replaced.
  Peer Registers(google::protobuf::Message* message);
  // The coordinator gives it this place.
  void Seated(uint32_t id, Peer* peer);
  void Left(const Party& party);
  Peer Of(const Party& party) const;
  Peer At(const std::string& shard) const;  // the shard that listens there

 private:
  std::string FrontFor(const std::string& shard);

  Inspector* const inspector_;
  mutable Mutex mutex_;
  std::string coordinator_ ABSL_GUARDED_BY(mutex_);
  std::map<Party, pid_t> pids_ ABSL_GUARDED_BY(mutex_);
  std::multiset<Party> attending_ ABSL_GUARDED_BY(mutex_);
  std::map<pid_t, std::string> listens_ ABSL_GUARDED_BY(mutex_);                  // of shards
  std::map<std::string, std::unique_ptr<Front>> fronts_ ABSL_GUARDED_BY(mutex_);  // by the shard's address
  Mutex inspecting_;
  std::unique_ptr<Front> front_;  // of the coordinator
  std::string address_;
};

}  // namespace arcshard::faults
