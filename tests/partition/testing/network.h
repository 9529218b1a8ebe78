#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/io/file.h"

namespace arcshard {

// Hosts on this machine: each is a network namespace with an address of its own, joined to the others by a bridge. This
// process and the threads that it starts are on the bridge too, and reach all hosts. Everything is in namespaces that
// end with this process and with what it has started, so the machine's own network stays as it is.
//
// Not thread-safe. A failure of a tool fails the test.
class Network {
 public:
  using Host = uint32_t;  // counts from 1

  enum class Cut {
    kDropped,  // packets vanish
    kRefused,  // they are answered by a reset
  };

  // Moves this process into a namespace of its own, once. Call it before there are other threads. Returns why there can
  // be no networks here, in a sentence; empty: there can be.
  static std::string WhyNone();

  Network();
  ~Network();

  Host Add();
  const std::string& AddressOf(Host host) const { return hosts_.at(host).address; }

  // Runs `work` on the host: processes that it starts are there.
  template <typename Work>
  auto On(Host host, const Work& work) {
    const Visit visit(hosts_.at(host).space);
    return work();
  }

  // Ends all traffic between the two hosts, that of open connections included.
  void CutBetween(Host one, Host other, Cut how);
  // The same between the host and all others.
  void Isolate(Host host, Cut how);
  // Ends all cuts.
  void Heal();
  // Takes the host off the bridge for good, and ends the cuts of the others. The new host has its address, which for
  // the others is a computer that was started again.
  Host Replace(Host host);

 private:
  struct Place {
    FileDescriptor space;  // the namespace
    std::string link;      // its end at the bridge
    std::string address;
  };

  // While it exists the thread is in the namespace.
  class Visit {
   public:
    explicit Visit(const FileDescriptor& space);
    ~Visit();

   private:
    const FileDescriptor home_;
  };

  Host AddAt(const std::string& address, const std::string& hardware_address);
  void Refuse(Host at, Host from, Cut how);

  std::map<Host, Place> hosts_;
};

}  // namespace arcshard
