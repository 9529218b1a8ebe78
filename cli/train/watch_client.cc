#include "cli/train/watch_client.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "common/base/clock.h"
#include "common/rpc/deadline.h"
#include "common/rpc/endpoint.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kShutdown = absl::Seconds(3);  // how long the coordinator waits

}  // namespace

absl::StatusOr<std::unique_ptr<WatchClient>> WatchClient::Start(const std::string& coordinator,
                                                                const Security& security) {
  FileDescriptor wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd", "cannot create");
  return std::unique_ptr<WatchClient>(
      new WatchClient(MakeChannel(coordinator, security, CertifiedRole::kCoordinator), std::move(wake)));
}

WatchClient::WatchClient(std::shared_ptr<grpc::Channel> channel, FileDescriptor wake)
    : channel_(std::move(channel)),
      stub_(v1::Coordinator::NewStub(channel_)),
      wake_(std::move(wake)),
      thread_([this] { Follow(); }) {}

WatchClient::~WatchClient() {
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.NotifyAll();
  }
  thread_.join();
}

void WatchClient::Reopen() {
  MutexLock lock(&mutex_);
  reopens_ = true;
  ended_ = false;
  // Attempts that failed while nobody listened make the channel wait, up to a second, before its next one.
  grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
  changed_.NotifyAll();
}

void WatchClient::Follow() {
  while (grpc::ClientContext* const context = NextContext()) {
    Read(context);
    {
      MutexLock lock(&mutex_);
      ended_ = !reopens_;
      changed_.NotifyAll();
      eventfd_write(wake_.get(), 1);
      if (cancelled_) return;
    }
    // gRPC reads from a connection only while somebody waits for something of it. The coordinator says that it shuts
    // down and waits for the answer, so until the connection ends somebody has to.
    channel_->WaitForStateChange(GRPC_CHANNEL_READY, DeadlineIn(kShutdown));
  }
}

grpc::ClientContext* WatchClient::NextContext() {
  MutexLock lock(&mutex_);
  while (!reopens_ && !cancelled_) changed_.Wait(&mutex_);
  if (cancelled_) return nullptr;
  const bool again = context_ != nullptr;
  reopens_ = false;
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_wait_for_ready(again);  // the channel may not have noticed yet that somebody listens again
  return context_.get();
}

void WatchClient::Read(grpc::ClientContext* context) {
  const std::unique_ptr<grpc::ClientReader<v1::Progress>> reader = stub_->Watch(context, v1::WatchRequest());
  v1::Progress report;
  while (reader->Read(&report)) {
    MutexLock lock(&mutex_);
    reports_.push_back(std::move(report));
    eventfd_write(wake_.get(), 1);
  }
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
