#include "coordinator/service/wire.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <string>

#include "common/rpc/convert/convert_messages.h"

namespace arcshard::coordinator {

bool Parse(const grpc::ByteBuffer& bytes, v1::ParticipantMessage* message) {
  grpc::ByteBuffer read = bytes;  // shares the memory
  grpc::ProtoBufferReader reader(&read);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

grpc::ByteBuffer BroadcastPacker::Pack(const std::shared_ptr<const CoordinatorMessage>& message) {
  MutexLock lock(&mutex_);
  if (message != last_) {
    const std::string text = ToProto(*message).SerializeAsString();
    const grpc::Slice slice(text);
    packed_ = grpc::ByteBuffer(&slice, 1);
    last_ = message;
  }
  return packed_;
}

}  // namespace arcshard::coordinator
