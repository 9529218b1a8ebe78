#include "tests/faults/message_types.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.pb.h"
#include "arcshard/v1/shard.pb.h"
#include "google/protobuf/descriptor.h"

namespace arcshard::faults {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

// Calls of people and of programs outside of a run.
const std::set<std::string> kOfOthers = {"Watch", "Stop", "TakeCheckpoint", "GetStatus"};

std::vector<const MethodDescriptor*> Calls() {
  std::vector<const MethodDescriptor*> calls;
  for (const auto* const file : {v1::Register::descriptor()->file(), v1::ReplayRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const ServiceDescriptor* const service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        if (!kOfOthers.contains(service->method(j)->name())) calls.push_back(service->method(j));
      }
    }
  }
  return calls;
}

const Descriptor* TypeOfCall(const std::string& stream, bool from_caller) {
  for (const MethodDescriptor* const call : Calls()) {
    if (call->name() == stream) return from_caller ? call->input_type() : call->output_type();
  }
  return nullptr;
}

void Append(const std::string& stream, const Descriptor* message, std::vector<std::string>* types) {
  if (message->real_oneof_decl_count() == 0) types->push_back(absl::StrCat(stream, ".", message->name()));
  for (int i = 0; i < message->real_oneof_decl_count(); ++i) {
    const auto* const oneof = message->oneof_decl(i);
    for (int j = 0; j < oneof->field_count(); ++j) {
      types->push_back(absl::StrCat(stream, ".", oneof->field(j)->name()));
    }
  }
}

}  // namespace

std::vector<std::string> AllMessageTypes() {
  std::vector<std::string> types;
  for (const MethodDescriptor* const call : Calls()) {
    Append(call->name(), call->input_type(), &types);
    Append(call->name(), call->output_type(), &types);
  }
  return types;
}

std::string StreamOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::unique_ptr<google::protobuf::Message> Decode(const std::string& stream, bool from_caller,
                                                  const grpc::ByteBuffer& bytes) {
  const Descriptor* const type = TypeOfCall(stream, from_caller);
  if (type == nullptr) return nullptr;
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  grpc::ByteBuffer copy(bytes);
  grpc::ProtoBufferReader reader(&copy);
  return message->ParseFromZeroCopyStream(&reader) ? std::move(message) : nullptr;
}

grpc::ByteBuffer Encode(const google::protobuf::Message& message) {
  const std::string text = message.SerializeAsString();
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string TypeOf(const std::string& stream, const google::protobuf::Message& message) {
  const Descriptor* const type = message.GetDescriptor();
  for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
    const auto* const field = message.GetReflection()->GetOneofFieldDescriptor(message, type->oneof_decl(i));
    if (field != nullptr) return absl::StrCat(stream, ".", field->name());
  }
  return absl::StrCat(stream, ".", type->name());
}

}  // namespace arcshard::faults
