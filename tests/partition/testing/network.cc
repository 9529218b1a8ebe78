#include "tests/partition/testing/network.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

constexpr char kBridge[] = "bridge0";

// Empty: it went well; else what it printed.
std::string ErrorOf(const std::string& command) {
  std::FILE* const pipe = popen(absl::StrCat("PATH=$PATH:/usr/sbin:/sbin; { ", command, "; } 2>&1").c_str(), "r");
  if (pipe == nullptr) return std::strerror(errno);
  std::string output;
  std::array<char, 1024> buffer;
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
  if (pclose(pipe) == 0) return "";
  return output.empty() ? "it failed" : output;
}

void Do(const std::string& command) {
  const std::string error = ErrorOf(command);
  EXPECT_EQ(error, "") << command;
}

FileDescriptor OwnSpace() { return FileDescriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

std::string EnterOwnSpace() {
  for (const char* const tool : {"ip -Version", "nft --version"}) {
    if (const std::string error = ErrorOf(tool); !error.empty()) {
      return absl::StrCat(tool, " does not run (scripts/setup installs it): ", error);
    }
  }
  if (unshare(CLONE_NEWNET) != 0) return absl::StrCat("cannot make a network namespace: ", std::strerror(errno));
  if (const std::string error = ErrorOf("ip link set lo up"); !error.empty()) return error;
  if (const std::string error = ErrorOf("nft list ruleset"); !error.empty()) {
    return absl::StrCat("this kernel has no nftables: ", error);
  }
  return "";
}

}  // namespace

std::string Network::WhyNone() {
  static const std::string* const why = new std::string(EnterOwnSpace());
  return *why;
}

Network::Visit::Visit(const FileDescriptor& space) : home_(OwnSpace()) {
  EXPECT_EQ(setns(space.get(), CLONE_NEWNET), 0) << std::strerror(errno);
}

Network::Visit::~Visit() { EXPECT_EQ(setns(home_.get(), CLONE_NEWNET), 0) << std::strerror(errno); }

Network::Network() {
  Do(absl::StrCat("ip link add ", kBridge, " type bridge && ip address add 10.99.0.254/24 dev ", kBridge,
                  " && ip link set ", kBridge, " up"));
}

Network::~Network() {
  for (const auto& [host, place] : hosts_) Do(absl::StrCat("ip link delete ", place.link));
  Do(absl::StrCat("ip link delete ", kBridge));
}

Network::Host Network::Add() {
  const size_t number = hosts_.size() + 1;
  return AddAt(absl::StrCat("10.99.0.", number), absl::StrFormat("02:00:00:00:00:%02x", number));
}

Network::Host Network::AddAt(const std::string& address, const std::string& hardware_address) {
  const auto host = static_cast<Host>(hosts_.size() + 1);
  Place& place = hosts_[host];
  place.address = address;
  place.link = absl::StrCat("host", host);
  {
    const FileDescriptor home = OwnSpace();
    EXPECT_EQ(unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    place.space = OwnSpace();
    EXPECT_EQ(setns(home.get(), CLONE_NEWNET), 0) << std::strerror(errno);
  }
  Do(absl::StrCat("ip link add ", place.link, " type veth peer name eth0 address ", hardware_address, " netns /proc/",
                  getpid(), "/fd/", place.space.get(), " && ip link set ", place.link, " master ", kBridge, " up"));
  On(host, [&] {
    Do(absl::StrCat("ip link set lo up && ip address add ", address, "/24 dev eth0 && ip link set eth0 up"));
    Do("nft 'add table inet cut; add chain inet cut input { type filter hook input priority 0; }'");
  });
  return host;
}

void Network::Refuse(Host at, Host from, Cut how) {
  const std::string rule = absl::StrCat("add rule inet cut input ip saddr ", AddressOf(from));
  On(at, [&] {
    if (how == Cut::kDropped) return Do(absl::StrCat("nft ", rule, " drop"));
    // The other host's resets come through.
    Do(absl::StrCat("nft '", rule, " tcp flags & rst == rst accept; ", rule,
                    " meta l4proto tcp reject with tcp reset'"));
  });
}

void Network::CutBetween(Host one, Host other, Cut how) {
  Refuse(one, other, how);
  Refuse(other, one, how);
}

void Network::Isolate(Host host, Cut how) {
  for (const auto& [other, place] : hosts_) {
    if (other != host) CutBetween(host, other, how);
  }
}

void Network::Heal() {
  for (const auto& [host, place] : hosts_) {
    On(host, [] { Do("nft flush chain inet cut input"); });
  }
}

Network::Host Network::Replace(Host host) {
  Do(absl::StrCat("ip link set ", hosts_.at(host).link, " down nomaster"));
  Heal();
  return AddAt(AddressOf(host), absl::StrFormat("02:00:00:00:00:%02x", host));
}

}  // namespace arcshard
