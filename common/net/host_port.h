#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Addresses as people type them. Every address that a program is given, by its command line, the environment or a
// peer, goes through these functions, so that one that can never work is refused at once and in the same words.
namespace arcshard {

struct HostPort {
  std::string host;  // a name or an IP address, without brackets
  int port = 0;      // from 0 to 65535
};

// Parses host:port; an IPv6 address as host has brackets. InvalidArgument: the text is not of that form; the message
// quotes it and says what is wrong.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// The same for an address to connect to. InvalidArgument: also if the port is 0.
absl::StatusOr<HostPort> ParsePeerAddress(absl::string_view text);

// For options of the command line: what is wrong with an address to listen on, or to connect to; empty: nothing.
std::string ListenAddressProblem(const std::string& text);
std::string PeerAddressProblem(const std::string& text);

// What is wrong with the form of a host that stands alone, where an IPv6 address may have brackets; empty: nothing.
std::string HostFormProblem(absl::string_view host);

// host:port, with brackets where the host is an IPv6 address.
std::string JoinHostPort(absl::string_view host, int port);

// The host without the brackets that an IPv6 address may have.
std::string WithoutBrackets(absl::string_view host);

}  // namespace arcshard
