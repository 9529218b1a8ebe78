#include "common/net/host_port.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

TEST(HostPortTest, HostAndPortComeApartAndTogether) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const Case& one : std::vector<Case>{{"example.com:7000", "example.com", 7000},
                                           {"my_host:0", "my_host", 0},
                                           {"dns:7000", "dns", 7000},
                                           {"LOCALHOST:65535", "LOCALHOST", 65535},
                                           {"10.0.0.1:7000", "10.0.0.1", 7000},
                                           {"[::1]:0", "::1", 0},
                                           {"[fe80::1%eth0]:7000", "fe80::1%eth0", 7000},
                                           {"[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80}}) {
    const absl::StatusOr<HostPort> parts = ParseHostPort(one.text);
    ASSERT_TRUE(parts.ok()) << parts.status();
    EXPECT_EQ(parts->host, one.host);
    EXPECT_EQ(parts->port, one.port);
    EXPECT_EQ(JoinHostPort(parts->host, parts->port), one.text);
  }
}

TEST(HostPortTest, WhatIsNoAddressIsQuotedWithTheReason) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "it is empty"},
      {"127.0.0.1", "there is no port"},
      {"127.0.0.1:", "there is no port"},
      {"0", "there is no port"},
      {"[::1]", "there is no port"},
      {":7000", "there is no host"},
      {"127.0.0.1:99999", "the port '99999' is not a number from 0 to 65535"},
      {"127.0.0.1:65536", "the port '65536'"},
      {"127.0.0.1:-1", "the port '-1'"},
      {"127.0.0.1:+80", "the port '+80'"},
      {"127.0.0.1: 80", "the port ' 80'"},
      {"127.0.0.1:80s", "the port '80s'"},
      {"127.0.0.1:http", "the port 'http'"},
      {"127.0.0.1:18446744073709551617", "the port '18446744073709551617'"},
      {"256.1.1.1:0", "256.1.1.1 is not an IPv4 address"},
      {"127.1:7000", "127.1 is not an IPv4 address"},
      {"::1:0", "needs brackets"},
      {"[::1:80", "the bracket is not closed"},
      {"[localhost]:80", "'localhost' is not an IPv6 address"},
      {"[]:80", "'' is not an IPv6 address"},
      {"http://127.0.0.1:7000", "leave out 'http://'"},
      {"dns:///127.0.0.1:7000", "leave out 'dns://'"},
      {"unix:/tmp/x.sock", "the port '/tmp/x.sock'"},
      {"127.0.0.1:7000/", "the port '7000/'"},
      {" 127.0.0.1:0", "letters, digits"},
      {"127.0.0.1:0,127.0.0.2:0", "only one address is taken"},
      {"dns:127.0.0.1:0", "leave out 'dns:'"},
      {"ipv4:10.0.0.1:7000", "leave out 'ipv4:'"},
      {"ipv6:[::1]:7000", "leave out 'ipv6:'"},
      {"a b:80", "letters, digits"},
      {std::string(300, 'a') + ":80", "300 characters"},
  };
  for (const auto& [text, reason] : cases) {
    const absl::Status status = ParseHostPort(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("'" + text + "' is not host:port: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
    EXPECT_EQ(ListenAddressProblem(text), status.message());
  }
}

TEST(HostPortTest, NobodyCanConnectToPortZero) {
  EXPECT_EQ(ListenAddressProblem("127.0.0.1:0"), "");
  EXPECT_EQ(PeerAddressProblem("127.0.0.1:0"), "'127.0.0.1:0' has port 0, on which nobody can listen");
  EXPECT_EQ(PeerAddressProblem("127.0.0.1:7000"), "");
}

TEST(HostPortTest, BracketsAroundAHostAreTakenOff) {
  EXPECT_EQ(WithoutBrackets("[::1]"), "::1");
  EXPECT_EQ(WithoutBrackets("::1"), "::1");
  EXPECT_EQ(WithoutBrackets("localhost"), "localhost");
}

}  // namespace
}  // namespace arcshard
