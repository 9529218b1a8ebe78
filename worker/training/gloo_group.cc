#include <utility>

#include "absl/strings/str_cat.h"
#include "torch/csrc/distributed/c10d/ProcessGroupGloo.hpp"
#include "worker/training/reduce_group.h"

namespace arcshard::worker {
namespace {

class GlooGroup final : public ReduceGroup {
 public:
  GlooGroup(const c10::intrusive_ptr<c10d::Store>& store, const AllReduceOptions& options) {
    const auto gloo_options = c10d::ProcessGroupGloo::Options::create(absl::ToChronoMilliseconds(options.timeout));
    gloo_options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.interface));
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.size, gloo_options);
  }

  at::Device device() const override { return at::kCPU; }

  void Start(at::Tensor values, std::function<void(const absl::Status&)> done) override {
    std::vector<at::Tensor> buffers = {values};
    const c10::intrusive_ptr<c10d::Work> work = gloo_->allreduce(buffers);
    // The callback runs on one of Gloo's threads. It keeps the buffer alive, into which Gloo may write until then.
    work->getFuture()->addCallback([values, done = std::move(done)](c10::ivalue::Future& future) {
      if (!future.hasError()) return done(absl::OkStatus());
      done(absl::UnavailableError(
          absl::StrCat("the workers' all-reduce lost a peer: ", future.tryRetrieveErrorMessage().substr(0, 200))));
    });
  }

  void Abort() override {}  // Gloo has no abort: a pending reduction ends by its timeout

 private:
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
