#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/message.h"

// The kinds of messages on the streams between the processes of a run, as the table of faults names them: by the
// stream, and by the case of the message's oneof, or the message itself where it has none: "Attend.ready",
// "Exchange.ShardMessage". They come from the descriptors of proto/arcshard/v1, so none can be forgotten.
namespace arcshard::faults {

// All of them: of every call between members of a run, both directions.
std::vector<std::string> AllMessageTypes();

// The stream of a call's path: "Attend" of "/arcshard.v1.Coordinator/Attend".
std::string StreamOf(const std::string& path);

// The message of this stream that `bytes` are; null: they are none. from_caller: the caller of the stream has sent it.
std::unique_ptr<google::protobuf::Message> Decode(const std::string& stream, bool from_caller,
                                                  const grpc::ByteBuffer& bytes);
grpc::ByteBuffer Encode(const google::protobuf::Message& message);

std::string TypeOf(const std::string& stream, const google::protobuf::Message& message);

}  // namespace arcshard::faults
