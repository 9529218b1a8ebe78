#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arcshard/v1/coordinator.grpc.pb.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/io/file.h"
#include "common/rpc/security/security.h"

// Clients that mean no good, for tests of what they cannot do. All of them connect to 127.0.0.1 and use bounded numbers
// of connections and bytes.
namespace arcshard {

// TCP connections that send `greeting`, or nothing, and then stay open. Those that are refused are left out.
std::vector<FileDescriptor> HoldConnections(int port, int count, const std::string& greeting = "");

// Whether GET /metrics at this port gets its answer.
bool MetricsAnswer(int port);

// One participant's stream, over gRPC, that ends when the object does.
class FakeParticipant {
 public:
  FakeParticipant(const std::string& coordinator, const Security& security);
  ~FakeParticipant();

  void Send(const v1::ParticipantMessage& message);
  // A registration that could be a real participant's.
  static v1::ParticipantMessage Registration(v1::Role role);
  // Waits for the coordinator's Welcome; false: it has ended the stream instead.
  bool Welcomed();
  // Waits until the coordinator has ended the stream, and returns how.
  absl::Status End();

 private:
  struct Call;
  std::unique_ptr<Call> call_;
};

// Says hello to a shard with a token of that size, and waits for the end of the stream. Returns how it ended.
absl::Status SayHello(const std::string& shard, const Security& security, size_t token_bytes);

// The most memory in bytes that a process has had (VmHWM); 0: it cannot be read.
uint64_t PeakMemory(pid_t pid);

}  // namespace arcshard
