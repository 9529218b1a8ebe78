#include "cli/train/watch_client.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "common/base/clock.h"
#include "common/rpc/endpoint.h"

namespace arcshard::cli {

absl::StatusOr<std::unique_ptr<WatchClient>> WatchClient::Start(const std::string& coordinator,
                                                                const Security& security) {
  FileDescriptor wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd", "cannot create");
  return std::unique_ptr<WatchClient>(
      new WatchClient(MakeChannel(coordinator, security, CertifiedRole::kCoordinator), std::move(wake)));
}

WatchClient::WatchClient(std::shared_ptr<grpc::Channel> channel, FileDescriptor wake)
    : stub_(v1::Coordinator::NewStub(channel)), wake_(std::move(wake)), thread_([this] { Read(); }) {}

WatchClient::~WatchClient() {
  context_.TryCancel();
  thread_.join();
}

void WatchClient::Read() {
  const std::unique_ptr<grpc::ClientReader<v1::Progress>> reader = stub_->Watch(&context_, v1::WatchRequest());
  v1::Progress report;
  while (reader->Read(&report)) {
    MutexLock lock(&mutex_);
    reports_.push_back(std::move(report));
    eventfd_write(wake_.get(), 1);
  }
  MutexLock lock(&mutex_);
  ended_ = true;
  changed_.NotifyAll();
  eventfd_write(wake_.get(), 1);
}

bool WatchClient::ended() {
  MutexLock lock(&mutex_);
  return ended_;
}

std::vector<v1::Progress> WatchClient::Take() {
  MutexLock lock(&mutex_);
  eventfd_t count;
  eventfd_read(wake_.get(), &count);
  return std::exchange(reports_, {});
}

void WatchClient::AwaitEnd(absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  MutexLock lock(&mutex_);
  while (!ended_ && clock.Now() < deadline) clock.WaitUntil(deadline, &mutex_, &changed_);
}

}  // namespace arcshard::cli
