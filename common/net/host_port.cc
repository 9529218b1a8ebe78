#include "common/net/host_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

constexpr int kLargestPort = 65535;
constexpr size_t kLongestHost = 253;  // bytes, of a name in the DNS

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

bool IsIp(int family, absl::string_view host) {
  in6_addr address;
  return inet_pton(family, std::string(host).c_str(), &address) == 1;
}

// An IPv6 address may name the interface that it belongs to: fe80::1%eth0.
bool IsIpv6(absl::string_view host) { return IsIp(AF_INET6, host.substr(0, host.find('%'))); }

// What is wrong with a host that has no brackets; empty: nothing.
std::string HostProblem(absl::string_view host) {
  if (host.empty()) return "there is no host (0.0.0.0 means all addresses of this machine)";
  if (host.size() > kLongestHost) return absl::StrCat("the host has ", host.size(), " characters");
  for (const char c : host) {
    const bool allowed = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
    if (!allowed) return "the host may have letters, digits, dots, '-' and '_'";
  }
  const bool numeric = std::all_of(host.begin(), host.end(), [](char c) { return IsDigit(c) || c == '.'; });
  if (numeric && !IsIp(AF_INET, host)) return absl::StrCat(host, " is not an IPv4 address");
  return "";
}

// Parts the text, and says what is wrong with its form; empty: nothing.
std::string Part(absl::string_view text, absl::string_view* host, absl::string_view* port) {
  if (text.empty()) return "it is empty";
  if (const size_t scheme = text.find("://"); scheme != absl::string_view::npos) {
    return absl::StrCat("leave out '", text.substr(0, scheme), "://'");
  }
  if (text.front() == '[') {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos) return "the bracket is not closed";
    *host = text.substr(1, end - 1);
    if (!IsIpv6(*host)) return absl::StrCat("'", *host, "' is not an IPv6 address");
    const absl::string_view rest = text.substr(end + 1);
    if (rest.size() < 2 || rest.front() != ':') return "there is no port";
    *port = rest.substr(1);
    return "";
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon + 1 == text.size()) return "there is no port";
  *host = text.substr(0, colon);
  *port = text.substr(colon + 1);
  if (absl::StrContains(text, ",")) return "only one address is taken";
  for (const absl::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {  // of gRPC's targets
    if (absl::StartsWith(text, scheme) && host->size() >= scheme.size()) {
      return absl::StrCat("leave out '", scheme, "'");
    }
  }
  if (absl::StrContains(*host, ":")) return "an IPv6 address needs brackets, as in [::1]:7000";
  return HostProblem(*host);
}

std::string Problem(absl::string_view text, HostPort* parts) {
  absl::string_view host, port;
  std::string problem = Part(text, &host, &port);
  if (!problem.empty()) return problem;
  // absl::SimpleAtoi takes signs and blanks too.
  const bool digits = port.size() <= 5 && std::all_of(port.begin(), port.end(), IsDigit);
  if (!digits || !absl::SimpleAtoi(port, &parts->port) || parts->port > kLargestPort) {
    return absl::StrCat("the port '", port, "' is not a number from 0 to ", kLargestPort);
  }
  parts->host = std::string(host);
  return "";
}

std::string ProblemOf(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  HostPort parts;
  const std::string problem = Problem(text, &parts);
  if (problem.empty()) return parts;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not host:port: ", problem));
}

absl::StatusOr<HostPort> ParsePeerAddress(absl::string_view text) {
  absl::StatusOr<HostPort> parts = ParseHostPort(text);
  if (parts.ok() && parts->port == 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' has port 0, on which nobody can listen"));
  }
  return parts;
}

std::string ListenAddressProblem(const std::string& text) { return ProblemOf(ParseHostPort(text).status()); }

std::string PeerAddressProblem(const std::string& text) { return ProblemOf(ParsePeerAddress(text).status()); }

std::string JoinHostPort(absl::string_view host, int port) {
  return absl::StrContains(host, ":") ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::string HostFormProblem(absl::string_view host) {
  if (!absl::StrContains(host, ":")) return HostProblem(host);
  return IsIpv6(WithoutBrackets(host)) ? "" : "it has a port, or is no IPv6 address";
}

std::string WithoutBrackets(absl::string_view host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return std::string(bracketed ? host.substr(1, host.size() - 2) : host);
}

}  // namespace arcshard
