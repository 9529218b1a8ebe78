#include <cstdlib>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/mutex.h"
#include "torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp"
#include "worker/training/all_reduce/c10d_error.h"
#include "worker/training/all_reduce/reduce_group.h"

namespace arcshard::worker {
namespace {

// How often a pending reduction is polled. A step takes hundreds of times as long.
constexpr absl::Duration kPoll = absl::Microseconds(200);

class NcclGroup final : public ReduceGroup {
 public:
  NcclGroup(const c10::intrusive_ptr<c10d::Store>& store, const AllReduceOptions& options) : device_(options.device) {
    // Errors are reported to this process; with c10d's default, its watchdog ends the process.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/1);
    const auto nccl_options = c10d::ProcessGroupNCCL::Options::create();
    nccl_options->timeout = absl::ToChronoMilliseconds(kLongestSum);
    nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, options.rank, static_cast<int>(options.workers.size()),
                                                        nccl_options);
  }

  at::Device device() const override { return device_; }

  void StartSum(const at::Tensor& values, Done done) override {
    std::vector<at::Tensor> buffers = {values};
    Await(nccl_->allreduce(buffers), done);
  }

  void StartBroadcast(const at::Tensor& values, int root, Done done) override {
    std::vector<at::Tensor> buffers = {values};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    Await(nccl_->broadcast(buffers, options), done);
  }

  void Abort() override {
    {
      MutexLock lock(&mutex_);
      if (aborted_) return;
      aborted_ = true;
      changed_.NotifyAll();
    }
    // This may wait for the device, which the gRPC thread that calls Abort must not.
    std::thread([nccl = nccl_] { nccl->abort(); }).detach();
  }

 private:
  // NCCL's futures are ready when the work is queued. Whether the device has done it must be polled.
  void Await(const c10::intrusive_ptr<c10d::Work>& work, const Done& done) {
    absl::Status status;
    try {
      MutexLock lock(&mutex_);
      while (!aborted_ && !work->isCompleted()) changed_.WaitFor(&mutex_, kPoll);
      if (aborted_) status = absl::CancelledError("the all-reduce was aborted");
      if (!aborted_ && work->exception() != nullptr) std::rethrow_exception(work->exception());
    } catch (const std::exception& error) {
      status = absl::UnavailableError(absl::StrCat("the workers' all-reduce lost a peer: ", FirstLine(error)));
    }
    if (status.ok()) work->synchronize();  // orders what this thread queues next after it
    done(status);
  }

  const at::Device device_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
  Mutex mutex_;
  CondVar changed_;
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<ReduceGroup> MakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options) {
  return std::make_unique<NcclGroup>(store, options);
}

}  // namespace arcshard::worker
