#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>

#include "arcshard/v1/coordinator.pb.h"
#include "common/base/mutex.h"
#include "common/protocol/messages.h"

// The messages of Attend as gRPC's bytes. gRPC itself would serialize a broadcast once for each stream, and keep as
// many copies of it: a view with thousands of members is hundreds of kilobytes.
namespace arcshard::coordinator {

// False: the bytes are no such message.
bool Parse(const grpc::ByteBuffer& bytes, v1::ParticipantMessage* message);

// Serializes messages, one that goes to many streams in a row only once. Thread-safe.
class BroadcastPacker {
 public:
  // Those of one message share their memory.
  grpc::ByteBuffer Pack(const std::shared_ptr<const CoordinatorMessage>& message);

 private:
  Mutex mutex_;
  std::shared_ptr<const CoordinatorMessage> last_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer packed_ ABSL_GUARDED_BY(mutex_);  // the last one
};

}  // namespace arcshard::coordinator
