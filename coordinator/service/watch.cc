#include "coordinator/service/watch.h"

#include <optional>
#include <utility>

namespace arcshard::coordinator {

// The stream of one watcher. It keeps itself alive until gRPC calls OnDone.
class WatchStream final : public grpc::ServerWriteReactor<v1::Progress> {
 public:
  explicit WatchStream(WatchHub* hub) : hub_(hub) {}

  static std::shared_ptr<WatchStream> Create(WatchHub* hub) {
    auto stream = std::make_shared<WatchStream>(hub);
    stream->self_ = stream;
    return stream;
  }

  void Offer(const v1::Progress& progress, bool last) {
    MutexLock lock(&mutex_);
    if (cancelled_) return;
    next_ = progress;
    last_ = last;
    Pump();
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) Abandon();
    Pump();
  }

  void OnCancel() override {
    MutexLock lock(&mutex_);
    Abandon();
    Pump();
  }

  void OnDone() override {
    const std::shared_ptr<WatchStream> last = std::move(self_);
    hub_->Remove(last);
  }

 private:
  void Abandon() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    cancelled_ = true;
    next_.reset();
    last_ = true;
  }

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (next_.has_value()) {
      writing_ = true;
      current_ = *std::move(next_);
      next_.reset();
      StartWrite(&current_);
    } else if (last_) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
  }

  WatchHub* const hub_;
  std::shared_ptr<WatchStream> self_;
  Mutex mutex_;
  v1::Progress current_ ABSL_GUARDED_BY(mutex_);  // the message that gRPC is writing, while writing_
  std::optional<v1::Progress> next_ ABSL_GUARDED_BY(mutex_);
  bool last_ ABSL_GUARDED_BY(mutex_) = false;  // no report follows next_
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

void WatchHub::Publish(const v1::Progress& progress, bool last) {
  MutexLock lock(&mutex_);
  latest_ = progress;
  ended_ = last;
  for (const std::shared_ptr<WatchStream>& stream : streams_) stream->Offer(progress, last);
}

grpc::ServerWriteReactor<v1::Progress>* WatchHub::Watch() {
  MutexLock lock(&mutex_);
  if (streams_.size() >= kMostStreams) return nullptr;
  const std::shared_ptr<WatchStream> stream = WatchStream::Create(this);
  streams_.insert(stream);
  stream->Offer(latest_, ended_);
  return stream.get();
}

void WatchHub::Remove(const std::shared_ptr<WatchStream>& stream) {
  MutexLock lock(&mutex_);
  streams_.erase(stream);
}

}  // namespace arcshard::coordinator
