#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/config/run_config.h"
#include "worker/data/augment.h"
#include "worker/data/dataset.h"
#include "worker/data/images/image.h"
#include "worker/data/sample_order.h"

namespace arcshard::worker {

// The positions [first, first + size) of an epoch's permutation.
struct MicroBatchRequest {
  uint64_t epoch = 0;
  int64_t first = 0;
  int64_t size = 0;
  friend bool operator==(const MicroBatchRequest&, const MicroBatchRequest&) = default;
};

// A sample that could not be decoded, and why: the reason names file or record and what is wrong with it.
struct CorruptSample {
  int64_t sample = 0;
  std::string reason;
};

// What training sees of a request: B = request.size samples at S × S pixels. A function of the request, the data and
// the options alone.
struct MicroBatch {
  MicroBatchRequest request;
  std::vector<float> images;           // (B × 3 × S × S): R, G, B; normalised and augmented
  std::vector<int64_t> labels;         // (B)
  std::vector<int64_t> samples;        // (B); what really stands in each place
  std::vector<CorruptSample> corrupt;  // passed over on the way, in the order of the places; each once
};

struct LoaderOptions {
  uint64_t seed = 1;
  int image_size = 112;  // S, pixels
  Normalization normalization;
  AugmentOptions augment;
  int threads = 1;                  // that decode
  int prefetch = 2;                 // micro-batches decoded ahead of Next
  double max_corrupt_share = 0.01;  // of all samples of the data set
};

LoaderOptions LoaderOptionsOf(const RunConfig& config);

// Decodes micro-batches ahead of training.
//
// A sample that can't be decoded is replaced by the next one of the epoch's permutation that can, cyclically, wherever
// that one stands otherwise: so every worker puts the same sample into the same place, however the batch is split.
//
// Request, Next, Recycle and Cancel belong to one thread, the training loop's; Stop may be called from any.
class Loader {
 public:
  // `dataset` must outlive the loader. InvalidArgument: options that make no sense.
  static absl::StatusOr<std::unique_ptr<Loader>> Create(const LoaderOptions& options, const Dataset* dataset);
  ~Loader();  // stops

  // Appends to the queue. The loader works on its first `prefetch` entries; those behind wait, so as many may be asked
  // for as is convenient. InvalidArgument: positions beyond the permutation.
  absl::Status Request(const MicroBatchRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for the oldest request and takes it out of the queue. FailedPrecondition: nothing was requested. Cancelled:
  // stopped. DataLoss: more samples than max_corrupt_share can't be decoded. InvalidArgument: a label beyond N.
  // Unavailable: the device failed.
  absl::StatusOr<std::unique_ptr<MicroBatch>> Next() ABSL_LOCKS_EXCLUDED(mutex_);

  // Gives a micro-batch's memory back for a later one.
  void Recycle(std::unique_ptr<MicroBatch> batch) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets what was requested and not yet taken: another worker's share came to this one, or the epoch ended early.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);

  // Lets the threads finish the samples they are at and ends them; Next returns at once, now and later.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // How often Next had to wait so far, and how many micro-batches it would give now without.
  int64_t stalls() const ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t ready() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Different samples found corrupt so far.
  int64_t corrupt_samples() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A requested micro-batch on its way. Its samples are claimed one by one, by whichever thread is free; a thread
  // writes only into the places it has claimed.
  struct Job {
    explicit Job(SampleOrder epoch_order) : order(epoch_order) {}
    const SampleOrder order;
    std::unique_ptr<MicroBatch> batch;
    int64_t claimed = 0;
    int64_t finished = 0;
    bool abandoned = false;  // failed or cancelled: no more is claimed
    // A failed job is over when the threads have left the places that they had claimed.
    bool over() const { return finished == (abandoned ? claimed : batch->request.size); }
    absl::Status status;  // of the first place that failed
    int64_t failed_place = 0;
    std::vector<std::pair<int64_t, CorruptSample>> corrupt;  // with the place
  };

  Loader(const LoaderOptions& options, const Dataset* dataset) : options_(options), dataset_(dataset) {}
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // A job with an unclaimed place among the first `prefetch`; null: none.
  std::shared_ptr<Job> FindWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills one place; appends to `corrupt` what had to be passed over.
  absl::Status Fill(const Job& job, int64_t place, SampleBuffers* buffers, std::vector<CorruptSample>* corrupt)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // DataLoss once there are too many.
  absl::Status CountCorrupt(const CorruptSample& corrupt) ABSL_LOCKS_EXCLUDED(mutex_);
  static void SortCorrupt(Job* job);

  const LoaderOptions options_;
  const Dataset* const dataset_;

  mutable Mutex mutex_;
  CondVar work_;      // there may be something to claim, or to stop for
  CondVar finished_;  // a job may be complete, or stopped
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<MicroBatch>> spare_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<int64_t> corrupt_ ABSL_GUARDED_BY(mutex_);
  int64_t stalls_ ABSL_GUARDED_BY(mutex_) = 0;

  std::vector<std::thread> threads_;  // started by Create, joined by the destructor
};

}  // namespace arcshard::worker
