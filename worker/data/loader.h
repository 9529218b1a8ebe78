#pragma once

#include <cstdint>
#include <deque>
#include <memory>
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
#include "worker/data/images/normalization.h"
#include "worker/data/loaded_batch.h"
#include "worker/data/sample_order.h"

namespace arcshard::worker {

struct LoaderOptions {
  uint64_t seed = 1;
  int image_size = 112;  // S, pixels
  Normalization normalization;
  AugmentOptions augment;
  int threads = 1;                  // decoding threads
  int prefetch = 2;                 // batches that are decoded ahead of Next
  double max_corrupt_share = 0.01;  // of the data set's samples
};

LoaderOptions LoaderOptionsOf(const RunConfig& config);

// Loads and decodes batches ahead of training.
//
// A sample that can't be decoded is replaced by the next sample of the epoch's permutation that can be, even if that
// one is also used at its own position; after the last position the search continues at the first. So every worker puts
// the same sample into the same place, however the global batch is split.
//
// Request, Next, Recycle and Cancel may be called only by one thread, the training loop's; the other methods by any.
class Loader {
 public:
  // `dataset` must outlive the loader. InvalidArgument: an option is out of range.
  static absl::StatusOr<std::unique_ptr<Loader>> Create(const LoaderOptions& options, const Dataset* dataset);
  ~Loader();  // calls Stop and joins the threads

  // Appends to the queue. The loader works on the first `prefetch` entries and allocates memory only for them, so the
  // queue may be long. InvalidArgument: positions outside of the permutation.
  absl::Status Request(const BatchRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for the oldest request and removes it from the queue. FailedPrecondition: the queue is empty. Cancelled: the
  // loader was stopped. DataLoss: more samples than max_corrupt_share allows can't be decoded. InvalidArgument: a label
  // is not below N. Unavailable: the device failed.
  absl::StatusOr<std::unique_ptr<LoadedBatch>> Next() ABSL_LOCKS_EXCLUDED(mutex_);

  // Gives a batch back, so that a later one reuses its memory.
  void Recycle(std::unique_ptr<LoadedBatch> batch) ABSL_LOCKS_EXCLUDED(mutex_);

  // Clears the queue. Call it when the requests no longer match this worker's share of the next step.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the threads as soon as they have finished their current samples. From now on Next returns at once.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // How often Next has had to wait so far, and how many batches it could return now without waiting.
  int64_t stalls() const ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t ready() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The number of distinct samples found corrupt so far.
  int64_t corrupt_samples() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A requested batch in progress. Free threads claim its places one by one; a thread writes only to places that it has
  // claimed.
  struct Job {
    explicit Job(SampleOrder epoch_order) : order(epoch_order) {}
    const SampleOrder order;
    std::unique_ptr<LoadedBatch> batch;
    int64_t claimed = 0;
    int64_t finished = 0;
    bool abandoned = false;  // failed or cancelled: no more places are claimed
    // An abandoned job is over when the threads have finished the places that they had claimed.
    bool over() const { return finished == (abandoned ? claimed : batch->request.size); }
    absl::Status status;  // the error of the first place that failed
    int64_t failed_place = 0;
    std::vector<std::pair<int64_t, CorruptSample>> corrupt;  // with their places
  };

  Loader(const LoaderOptions& options, const Dataset* dataset) : options_(options), dataset_(dataset) {}
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // The first job with an unclaimed place among the first `prefetch` ones, or null.
  std::shared_ptr<Job> FindWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives the job's batch its memory, when a thread has claimed the first place.
  void Allocate(Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills one place and appends the samples that had to be replaced to `corrupt`.
  absl::Status Fill(const Job& job, int64_t place, SampleBuffers* buffers, std::vector<CorruptSample>* corrupt)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // DataLoss: there are too many corrupt samples by now.
  absl::Status CountCorrupt(const CorruptSample& corrupt) ABSL_LOCKS_EXCLUDED(mutex_);
  static void SortCorrupt(Job* job);

  const LoaderOptions options_;
  const Dataset* const dataset_;

  mutable Mutex mutex_;
  CondVar work_;      // signalled when there may be a place to claim, and by Stop
  CondVar finished_;  // signalled when a job may be over, and by Stop
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<LoadedBatch>> spare_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<int64_t> corrupt_ ABSL_GUARDED_BY(mutex_);
  int64_t stalls_ ABSL_GUARDED_BY(mutex_) = 0;

  std::vector<std::thread> threads_;  // started by Create, joined by the destructor
};

}  // namespace arcshard::worker
