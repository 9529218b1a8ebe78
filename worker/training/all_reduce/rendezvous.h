#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace arcshard::worker {

// The key-value store through which a view's workers find each other (c10d's TCPStore). Every worker runs one and
// reports its address to the coordinator; a view uses the one of its lowest-numbered worker.
class Rendezvous {
 public:
  // host: the address to bind to; the system chooses the port. Unavailable: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<Rendezvous>> Listen(const std::string& host);
  ~Rendezvous();
  const std::string& address() const { return address_; }  // host:port

 private:
  struct Store;
  Rendezvous(std::string address, std::unique_ptr<Store> store);
  const std::string address_;
  const std::unique_ptr<Store> store_;
};

}  // namespace arcshard::worker
