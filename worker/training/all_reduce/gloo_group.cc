#include <chrono>
#include <exception>
#include <utility>

#include "ATen/ops/empty.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "torch/csrc/distributed/c10d/ProcessGroupGloo.hpp"
#include "worker/training/all_reduce/reduce_group.h"

namespace arcshard::worker {
namespace {

class GlooGroup final : public ReduceGroup {
 public:
  GlooGroup(const c10::intrusive_ptr<c10d::Store>& store, const AllReduceOptions& options)
      : rank_(options.rank), size_(static_cast<int>(options.workers.size())) {
    const auto gloo_options =
        c10d::ProcessGroupGloo::Options::create(absl::ToChronoMilliseconds(options.connect_timeout));
    gloo_options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.interface));
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank_, size_, gloo_options);
    gloo_->setTimeout(absl::ToChronoMilliseconds(kLongestSum));
  }

  at::Device device() const override { return at::kCPU; }

  void StartSum(const at::Tensor& values, Done done) override {
    std::vector<at::Tensor> buffers = {values};
    c10::intrusive_ptr<c10d::Work> work;
    {
      MutexLock lock(&mutex_);
      work = gloo_->allreduce(buffers);
    }
    TellWhenDone(work, values, std::move(done));
  }

  void StartBroadcast(const at::Tensor& values, int root, Done done) override {
    std::vector<at::Tensor> buffers = {values};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    c10::intrusive_ptr<c10d::Work> work;
    {
      MutexLock lock(&mutex_);
      work = gloo_->broadcast(buffers, options);
    }
    TellWhenDone(work, values, std::move(done));
  }

  // Gloo has no abort. But when one wait of a group is not answered in time, Gloo closes all of the group's connections
  // and fails everything that is pending on them. So a message is awaited that nobody sends. Only what Gloo has begun
  // to send to a process that does not read remains until kLongestSum has passed.
  void Abort() override {
    constexpr int kTag = 0;  // of messages between two workers, which the sums do not use
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      std::vector<at::Tensor> nothing = {at::empty({1})};
      try {
        c10::intrusive_ptr<c10d::Work> work;
        {
          MutexLock lock(&mutex_);
          work = gloo_->recv(nothing, peer, kTag);
        }
        work->wait(std::chrono::milliseconds(1));
      } catch (const std::exception&) {
        continue;  // as intended, or the connection to this peer was closed before
      }
    }
  }

 private:
  // The callback runs on one of Gloo's threads, or at once. It keeps the buffer alive, into which Gloo may write until
  // then.
  static void TellWhenDone(const c10::intrusive_ptr<c10d::Work>& work, const at::Tensor& values, Done done) {
    work->getFuture()->addCallback([values, done = std::move(done)](c10::ivalue::Future& future) {
      if (!future.hasError()) return done(absl::OkStatus());
      done(absl::UnavailableError(
          absl::StrCat("the workers' all-reduce lost a peer: ", future.tryRetrieveErrorMessage().substr(0, 200))));
    });
  }

  const int rank_;
  const int size_;
  Mutex mutex_;  // of calls of gloo_, which counts them
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
};

}  // namespace

std::unique_ptr<ReduceGroup> MakeGlooGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options) {
  return std::make_unique<GlooGroup>(store, options);
}

bool CanUseNccl(absl::Span<const std::string> identities) {
  for (size_t i = 0; i < identities.size(); ++i) {
    if (identities[i] == "cpu") return false;
    for (size_t j = 0; j < i; ++j) {
      if (identities[i] == identities[j]) return false;
    }
  }
  return true;
}

}  // namespace arcshard::worker
