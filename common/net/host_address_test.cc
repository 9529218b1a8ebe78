#include "common/net/host_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace arcshard {
namespace {

using testing::HasSubstr;

TEST(HostAddressTest, LoopbackIsWhatNoOtherMachineReaches) {
  for (const char* const loopback : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(loopback)) << loopback;
  }
  for (const char* const other : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(other)) << other;
  }
}

TEST(HostAddressTest, AnInterfacesNameIsNoAddress) {
  for (const char* const host : {"127.0.0.1", "0.0.0.0", "::1", "[::1]", "localhost"}) {
    EXPECT_EQ(LocalHostProblem(host), "") << host;
  }
  EXPECT_EQ(LocalHostProblem("lo"), "'lo' is the name of a network interface; give the address that it has");
  const std::string none = "' is not an address of this machine: ";
  EXPECT_THAT(LocalHostProblem(""), HasSubstr(none + "there is no host"));
  EXPECT_EQ(LocalHostProblem("127.0.0.1:5"), "'127.0.0.1:5" + none + "it has a port, or is no IPv6 address");
  EXPECT_THAT(LocalHostProblem("[::1]:5"), HasSubstr(none + "it has a port"));
  EXPECT_THAT(LocalHostProblem("127.1"), HasSubstr(none + "127.1 is not an IPv4 address"));
  EXPECT_THAT(LocalHostProblem("no.such.host.invalid"), HasSubstr(none + "no such name is known"));
}

TEST(HostAddressTest, WildcardIsAllAddresses) {
  EXPECT_TRUE(IsWildcard("0.0.0.0"));
  EXPECT_TRUE(IsWildcard("::"));
  EXPECT_FALSE(IsWildcard("127.0.0.1"));
  EXPECT_FALSE(IsWildcard("::1"));
  EXPECT_FALSE(IsWildcard("localhost"));
}

TEST(HostAddressTest, TheLocalAddressTowardsLoopbackIsLoopback) {
  const absl::StatusOr<std::string> local = LocalAddressTowards("127.0.0.1:9", absl::Minutes(10));
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(*local, "127.0.0.1");
}

TEST(HostAddressTest, WhatIsAdvertisedCanBeReached) {
  const auto advertised = [](const std::string& advertise, const std::string& listening) {
    return AdvertisedAddress(advertise, listening, "127.0.0.1:9", absl::Minutes(10)).value_or("failed");
  };
  EXPECT_EQ(advertised("", "10.0.0.7:7100"), "10.0.0.7:7100");
  EXPECT_EQ(advertised("", "0.0.0.0:7100"), "127.0.0.1:7100");
  EXPECT_EQ(advertised("", "[::]:7100"), "127.0.0.1:7100");
  EXPECT_EQ(advertised("auto", "10.0.0.7:7100"), "127.0.0.1:7100");
  EXPECT_EQ(advertised("shard-3.shards", "0.0.0.0:7100"), "shard-3.shards:7100");
  EXPECT_EQ(advertised("fd00::3", "[::]:7100"), "[fd00::3]:7100");
  EXPECT_EQ(advertised("[fd00::3]", "[::]:7100"), "[fd00::3]:7100");
  EXPECT_EQ(AdvertisedAddress("no host", "0.0.0.0:7100", "127.0.0.1:9", absl::Seconds(60)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(HostAddressTest, ANameThatStaysUnknownIsSaid) {
  const absl::Status status = LocalAddressTowards("no.such.host.invalid:7000", absl::ZeroDuration()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no.such.host.invalid:7000"));
}

}  // namespace
}  // namespace arcshard
