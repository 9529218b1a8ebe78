#include "tests/faults/proxy.h"

#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "arcshard/v1/coordinator.pb.h"
#include "gtest/gtest.h"
#include "tests/faults/relay.h"

namespace arcshard::faults {

// A port of the proxy: for the coordinator or for one shard.
class Front final : public grpc::CallbackGenericService {
 public:
  Front(Proxy* proxy, std::string shard) : proxy_(proxy), shard_(std::move(shard)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    EXPECT_NE(port, 0);
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~Front() override {
    server_->Shutdown(std::chrono::system_clock::time_point());  // streams that are still open are cancelled
    server_->Wait();
  }
  const std::string& address() const { return address_; }

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return Relay::Open(proxy_, context, shard_);
  }

  Proxy* const proxy_;
  const std::string shard_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

std::string ToString(const Party& party) {
  if (party.kind == Kind::kCoordinator) return "Coordinator";
  return absl::StrCat(party.kind == Kind::kShard ? "Shard" : "Worker", party.id);
}

Proxy::Proxy(Inspector* inspector)
    : inspector_(inspector), front_(std::make_unique<Front>(this, "")), address_(front_->address()) {}

Proxy::~Proxy() {
  front_.reset();
  std::map<std::string, std::unique_ptr<Front>> fronts;
  {
    MutexLock lock(&mutex_);
    fronts.swap(fronts_);
  }
}

void Proxy::SetCoordinator(const std::string& address, pid_t pid) {
  MutexLock lock(&mutex_);
  if (!address.empty()) coordinator_ = address;
  pids_[{Kind::kCoordinator, 0}] = pid;
}

std::string Proxy::Target(const std::string& shard) const {
  MutexLock lock(&mutex_);
  return shard.empty() ? coordinator_ : shard;
}

Verdict Proxy::Pass(Passage passage) {
  MutexLock lock(&inspecting_);
  return inspector_->Inspect(passage);
}

void Proxy::Ended(const Peer& from, const Peer& to) {
  MutexLock lock(&inspecting_);
  inspector_->Ended(from, to);
}

Peer Proxy::Registers(google::protobuf::Message* message) {
  auto* const registration = dynamic_cast<v1::Register*>(message);
  MutexLock lock(&mutex_);
  Peer peer{{registration->role() == v1::ROLE_SHARD ? Kind::kShard : Kind::kWorker, 0},
            static_cast<pid_t>(registration->pid())};
  if (!registration->token().empty()) {
    peer.party.id = registration->id();
  } else {  // the coordinator gives it the lowest free place
    while (attending_.contains(peer.party)) ++peer.party.id;
  }
  attending_.insert(peer.party);
  pids_[peer.party] = peer.pid;
  if (peer.party.kind == Kind::kShard) {
    listens_[peer.pid] = registration->address();
    registration->set_address(FrontFor(registration->address()));
  }
  return peer;
}

std::string Proxy::FrontFor(const std::string& shard) {
  std::unique_ptr<Front>& front = fronts_[shard];
  if (front == nullptr) front = std::make_unique<Front>(this, shard);
  return front->address();
}

void Proxy::Seated(uint32_t id, Peer* peer) {
  MutexLock lock(&mutex_);
  const auto found = attending_.find(peer->party);
  if (found != attending_.end()) attending_.erase(found);
  peer->party.id = id;
  attending_.insert(peer->party);
  pids_[peer->party] = peer->pid;
}

void Proxy::Left(const Party& party) {
  MutexLock lock(&mutex_);
  const auto found = attending_.find(party);
  if (found != attending_.end()) attending_.erase(found);
}

Peer Proxy::Of(const Party& party) const {
  MutexLock lock(&mutex_);
  const auto found = pids_.find(party);
  return {party, found == pids_.end() ? 0 : found->second};
}

Peer Proxy::At(const std::string& shard) const {
  MutexLock lock(&mutex_);
  for (const auto& [party, pid] : pids_) {
    const auto found = listens_.find(pid);
    if (party.kind == Kind::kShard && found != listens_.end() && found->second == shard) return {party, pid};
  }
  return {};
}

}  // namespace arcshard::faults
