#include "worker/training/all_reduce.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"
#include "torch/csrc/distributed/c10d/PrefixStore.hpp"
#include "torch/csrc/distributed/c10d/TCPStore.hpp"
#include "worker/training/reduce_group.h"

namespace arcshard::worker {
namespace {

// LibTorch reports errors as exceptions with a backtrace behind the first line.
std::string FirstLine(const std::exception& error) {
  const std::string what = error.what();
  return what.substr(0, what.find('\n'));
}

// Opens a listening socket on host:0. Without one of its own, TCPStore listens on every interface.
absl::StatusOr<std::pair<int, uint16_t>> BindTo(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat("--all-reduce-interface ", host, ": ", gai_strerror(error)));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage bound = {};
  socklen_t length = sizeof(bound);
  const bool ok = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 128) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0;
  freeaddrinfo(found);
  if (!ok) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) close(fd);
    return absl::UnavailableError(absl::StrCat("cannot listen on ", host, " (--all-reduce-interface): ", reason));
  }
  const uint16_t port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                          : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  return std::make_pair(fd, port);
}

}  // namespace

struct Rendezvous::Store {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

Rendezvous::Rendezvous(std::string address, std::unique_ptr<Store> store)
    : address_(std::move(address)), store_(std::move(store)) {}
Rendezvous::~Rendezvous() = default;

absl::StatusOr<std::unique_ptr<Rendezvous>> Rendezvous::Listen(const std::string& host) {
  const auto bound = BindTo(host);
  if (!bound.ok()) return bound.status();
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.port = bound->second;
  options.masterListenFd = bound->first;  // the store owns it from now on
  options.waitWorkers = false;
  try {
    auto store = std::make_unique<Store>();
    store->store = c10::make_intrusive<c10d::TCPStore>(host, options);
    return std::unique_ptr<Rendezvous>(new Rendezvous(JoinHostPort(host, bound->second), std::move(store)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve the workers' rendezvous on ", host, ": ", FirstLine(error)));
  }
}

struct AllReduce::State {
  Mutex mutex;
  CondVar changed;
  bool pending ABSL_GUARDED_BY(mutex) = false;
  absl::Status result ABSL_GUARDED_BY(mutex);  // of the last reduction
  absl::Status aborted ABSL_GUARDED_BY(mutex);
};

AllReduce::AllReduce(std::unique_ptr<ReduceGroup> group)
    : group_(std::move(group)), state_(std::make_shared<State>()) {}

namespace {

// Makes a group with NCCL where every worker of the view has a GPU of its own, otherwise with Gloo. Each worker writes
// its device into the store; only workers with a GPU have to read those of the others.
std::unique_ptr<ReduceGroup> MakeGroup(const c10::intrusive_ptr<c10d::Store>& store, const AllReduceOptions& options) {
  const auto key = [](int rank) { return absl::StrCat("device/", rank); };
  const std::string own = DeviceIdentity(options.device);
  store->set(key(options.rank), std::vector<uint8_t>(own.begin(), own.end()));
  if (!options.device.is_cuda()) return MakeGlooGroup(store, options);
  std::vector<std::string> identities;
  for (int rank = 0; rank < options.size; ++rank) {
    const std::vector<uint8_t> identity = store->get(key(rank));
    identities.emplace_back(identity.begin(), identity.end());
  }
  return CanUseNccl(identities) ? MakeNcclGroup(store, options) : MakeGlooGroup(store, options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AllReduce>> AllReduce::Connect(const AllReduceOptions& options) {
  if (options.size == 1) return std::unique_ptr<AllReduce>(new AllReduce(nullptr));
  const absl::StatusOr<HostPort> rendezvous = ParsePeerAddress(options.rendezvous);
  if (!rendezvous.ok()) return Annotate(rendezvous.status(), "the workers' rendezvous");
  try {
    c10d::TCPStoreOptions store_options;
    store_options.port = static_cast<uint16_t>(rendezvous->port);
    store_options.timeout = absl::ToChronoMilliseconds(options.timeout);
    store_options.waitWorkers = false;
    const auto store = c10::make_intrusive<c10d::PrefixStore>(
        ToString(options.view), c10::make_intrusive<c10d::TCPStore>(rendezvous->host, store_options));
    return std::unique_ptr<AllReduce>(new AllReduce(MakeGroup(store, options)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot join the all-reduce of ", ToString(options.view),
                                               " (rendezvous at ", options.rendezvous, "): ", FirstLine(error)));
  }
}

AllReduce::~AllReduce() {
  bool pending = false;
  {
    MutexLock lock(&state_->mutex);
    pending = state_->pending;
  }
  // Gloo's destructor waits for the pending reduction, which this thread must not; a thread of its own does.
  if (pending) std::thread([group = std::move(group_)]() mutable { group.reset(); }).detach();
}

absl::StatusOr<at::Tensor> AllReduce::Sum(const at::Tensor& values) {
  assert(values.dim() == 1 && values.is_contiguous());
  if (group_ == nullptr) return values.clone();
  {
    MutexLock lock(&state_->mutex);
    if (!state_->aborted.ok()) return state_->aborted;
    state_->pending = true;
    state_->result = absl::OkStatus();
  }
  at::Tensor sum;
  try {
    sum = values.to(group_->device(), values.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
    // The callback may run on a thread of the group, which must not destroy the group: it keeps only the state alive.
    group_->Start(sum, [state = state_](const absl::Status& status) {
      MutexLock lock(&state->mutex);
      state->pending = false;
      state->result = status;
      state->changed.NotifyAll();
    });
  } catch (const std::exception& error) {
    MutexLock lock(&state_->mutex);
    state_->pending = false;
    return absl::UnavailableError(absl::StrCat("the workers' all-reduce failed: ", FirstLine(error)));
  }
  {
    MutexLock lock(&state_->mutex);
    while (state_->pending && state_->aborted.ok()) state_->changed.Wait(&state_->mutex);
    if (!state_->aborted.ok()) return state_->aborted;
    if (!state_->result.ok()) return state_->result;
  }
  return sum.to(values.device());
}

void AllReduce::Abort(const absl::Status& status) {
  assert(!status.ok());
  {
    MutexLock lock(&state_->mutex);
    if (state_->aborted.ok()) state_->aborted = status;
    state_->changed.NotifyAll();
  }
  if (group_ != nullptr) group_->Abort();
}

}  // namespace arcshard::worker
