#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "tests/faults/proxy.h"

namespace arcshard::faults {

// What waits to be written to one side of a relay, and how that side is ended when all of it is. Of each call the relay
// makes the answer's start outside of its lock. Guarded by the relay.
class Outbox {
 public:
  struct Item {
    grpc::ByteBuffer bytes;
    std::function<void()> then;
  };
  void Add(Item item) { items_.push_back(std::move(item)); }
  // The last write has ended; null, or what is to be done because it was written.
  std::function<void()> Written(bool ok);
  void EndWith(std::function<void()> end) { end_ = std::move(end); }
  // What to write now; null: nothing.
  const grpc::ByteBuffer* Next();
  // How to end this side; null: not yet.
  std::function<void()> TakeEnd();

 private:
  std::deque<Item> items_;
  bool writing_ = false;
  std::function<void()> end_;
};

// One stream through the proxy. It lives as long as either side does.
class Relay : public std::enable_shared_from_this<Relay> {
 public:
  // shard: the real address of the callee; empty: it is the coordinator.
  static grpc::ServerGenericBidiReactor* Open(Proxy* proxy, grpc::GenericCallbackServerContext* context,
                                              const std::string& shard);

 private:
  class Caller final : public grpc::ServerGenericBidiReactor {
   public:
    void OnReadDone(bool ok) override { relay->FromCaller(ok); }
    void OnWriteDone(bool ok) override { relay->WrittenToCaller(ok); }
    void OnCancel() override { relay->CallerGone(); }
    void OnDone() override { std::shared_ptr<Relay>(std::move(relay)).reset(); }
    std::shared_ptr<Relay> relay;
    grpc::ByteBuffer read;
  };
  class Callee final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
   public:
    void OnReadDone(bool ok) override { relay->FromCallee(ok); }
    void OnWriteDone(bool ok) override { relay->WrittenToCallee(ok); }
    void OnDone(const grpc::Status& status) override {
      relay->CalleeEnded(status);
      std::shared_ptr<Relay>(std::move(relay)).reset();
    }
    std::shared_ptr<Relay> relay;
    grpc::ByteBuffer read;
  };

  Relay(Proxy* proxy, const std::string& stream, const std::string& shard)
      : proxy_(proxy), stream_(stream), shard_(shard) {}

  void Connect(const std::string& path);
  void FromCaller(bool ok);
  void FromCallee(bool ok);
  void WrittenToCaller(bool ok);
  void WrittenToCallee(bool ok);
  void CallerGone();
  void CalleeEnded(const grpc::Status& status);

  // Forwards a message that was read, or not, as the inspector says.
  void Forward(bool from_caller, const grpc::ByteBuffer& bytes);
  // Learns from the message who the caller is. True: the message was changed.
  bool Learn(google::protobuf::Message* message);
  Peer CalleePeer() const;
  void Break();
  void WriteToCaller();
  void WriteToCallee();

  Proxy* const proxy_;
  const std::string stream_;
  const std::string shard_;
  Caller caller_;
  Callee callee_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericStub> stub_;
  Mutex mutex_;
  Peer who_ ABSL_GUARDED_BY(mutex_);            // the caller
  bool known_ ABSL_GUARDED_BY(mutex_) = false;  // who_ is
  Outbox to_caller_ ABSL_GUARDED_BY(mutex_), to_callee_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;    // to the callee
  bool callee_reads_ ABSL_GUARDED_BY(mutex_) = true;  // it can still be written to
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;     // with the caller
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;       // by this proxy
};

}  // namespace arcshard::faults
