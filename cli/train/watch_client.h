#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/io/file.h"
#include "common/rpc/security/security.h"

namespace arcshard::cli {

// Reads Coordinator.Watch on a thread of its own until the stream ends, and again after Reopen. The status of the
// stream is ignored: how the coordinator ends says more. Thread-safe.
class WatchClient {
 public:
  // coordinator: host:port.
  static absl::StatusOr<std::unique_ptr<WatchClient>> Start(const std::string& coordinator,
                                                            const Security& security = Security());
  ~WatchClient();  // cancels

  int fd() const { return wake_.get(); }  // becomes readable when a report arrives and when the stream ends; see Take
  // The reports that have arrived since the last Take, in order. Does not wait. Afterwards fd() is not readable.
  std::vector<v1::Progress> Take();
  // Whether the stream has ended: no further reports arrive then, unless it is reopened.
  bool ended();
  // Another life of the coordinator listens at the same address: follows its reports, over the same channel, once the
  // stream of before has ended.
  void Reopen();
  // Waits for the stream's end, at most `timeout`.
  void AwaitEnd(absl::Duration timeout);

 private:
  WatchClient(std::shared_ptr<grpc::Channel> channel, FileDescriptor wake);
  // Follows one stream after another until this is destroyed.
  void Follow();
  void Read(grpc::ClientContext* context);
  // Waits for Reopen. Null: this is being destroyed.
  grpc::ClientContext* NextContext();

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  const FileDescriptor wake_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<v1::Progress> reports_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);  // of the stream, or of the last one
  bool reopens_ ABSL_GUARDED_BY(mutex_) = true;                           // a stream is to be opened
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last, since it uses the members above
};

}  // namespace arcshard::cli
