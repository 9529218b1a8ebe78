#include "coordinator/service/wire.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/rpc/convert/convert_messages.h"

namespace arcshard::coordinator {
namespace {

std::string TextOf(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

const uint8_t* MemoryOf(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  return slices.front().begin();
}

// Long enough for memory of its own.
std::shared_ptr<const CoordinatorMessage> Message(const std::string& reason) {
  Welcome welcome;
  welcome.config_yaml = reason + std::string(1000, '.');
  return std::make_shared<const CoordinatorMessage>(welcome);
}

TEST(BroadcastPackerTest, AMessageToManyStreamsIsSerializedOnce) {
  BroadcastPacker packer;
  const auto message = Message("a"), equal = Message("a"), other = Message("b");
  const grpc::ByteBuffer first = packer.Pack(message), second = packer.Pack(message);
  EXPECT_EQ(MemoryOf(first), MemoryOf(second));
  EXPECT_EQ(TextOf(first), ToProto(*message).SerializeAsString());
  EXPECT_EQ(TextOf(packer.Pack(other)), ToProto(*other).SerializeAsString());
  const grpc::ByteBuffer again = packer.Pack(equal);
  EXPECT_NE(MemoryOf(again), MemoryOf(first));
  EXPECT_EQ(TextOf(again), TextOf(first));
}

TEST(ParseTest, BytesThatAreNoMessageAreRefused) {
  v1::ParticipantMessage message, read;
  message.mutable_leaving()->set_reason("the machine stops");
  const std::string text = message.SerializeAsString();
  const grpc::Slice whole(text), garbage("\xff\xff\xff\xff");
  EXPECT_TRUE(Parse(grpc::ByteBuffer(&whole, 1), &read));
  EXPECT_EQ(read.leaving().reason(), "the machine stops");
  EXPECT_FALSE(Parse(grpc::ByteBuffer(&garbage, 1), &read));
}

}  // namespace
}  // namespace arcshard::coordinator
