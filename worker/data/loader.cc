#include "worker/data/loader.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/images/image_decode.h"

namespace arcshard::worker {

LoaderOptions LoaderOptionsOf(const RunConfig& config) {
  LoaderOptions options;
  options.seed = config.run.seed;
  options.image_size = config.data.image_size;
  options.normalization = {.mean = static_cast<float>(config.data.pixel_mean),
                           .std = static_cast<float>(config.data.pixel_std)};
  options.augment = {.flip = config.data.flip,
                     .rotate_degrees = config.data.rotate_degrees,
                     .translate = config.data.translate,
                     .scale = config.data.scale};
  options.threads = config.data.loader_threads;
  options.prefetch = config.data.prefetch;
  options.max_corrupt_share = config.data.max_corrupt_share;
  return options;
}

absl::StatusOr<std::unique_ptr<Loader>> Loader::Create(const LoaderOptions& options, const Dataset* dataset) {
  if (options.threads < 1 || options.prefetch < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a loader needs at least 1 thread and must prefetch at least 1 ",
                                                   "micro-batch, not ", options.threads, " and ", options.prefetch));
  }
  if (options.image_size < 1 || options.image_size > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image size is ", options.image_size, " pixels; it must be from 1 to ", kMaxImageSide));
  }
  if (!(options.normalization.std > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pixels' standard deviation is ", options.normalization.std, "; it must be above 0"));
  }
  auto loader = std::unique_ptr<Loader>(new Loader(options, dataset));
  for (int i = 0; i < options.threads; ++i) loader->threads_.emplace_back([raw = loader.get()] { raw->Run(); });
  return loader;
}

Loader::~Loader() {
  Stop();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status Loader::Request(const BatchRequest& request) {
  if (request.first < 0 || request.size < 1 || request.size > dataset_->samples() - request.first) {
    return absl::InvalidArgumentError(
        absl::StrCat("positions ", request.first, " to ", request.first + request.size - 1,
                     " were requested, but an epoch has ", dataset_->samples(), " samples"));
  }
  auto job = std::make_shared<Job>(SampleOrder(options_.seed, request.epoch, dataset_->samples()));
  MutexLock lock(&mutex_);
  job->batch = std::make_unique<LoadedBatch>();
  job->batch->request = request;
  jobs_.push_back(std::move(job));
  work_.NotifyAll();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LoadedBatch>> Loader::Next() {
  std::shared_ptr<Job> job;
  {
    MutexLock lock(&mutex_);
    if (jobs_.empty() && !stopped_) return absl::FailedPreconditionError("no micro-batch was requested");
    if (!stopped_ && !jobs_.front()->over()) ++stalls_;
    while (!stopped_ && !jobs_.front()->over()) finished_.Wait(&mutex_);
    if (stopped_) return absl::CancelledError("the loader was stopped");
    job = std::move(jobs_.front());
    jobs_.pop_front();
    work_.NotifyAll();  // another job is among the first `prefetch` ones now
  }
  // The status is moved, so that it isn't shared with the thread that failed: Abseil is not built for TSan, which can't
  // see a Status's reference count.
  if (!job->status.ok()) return std::move(job->status);
  SortCorrupt(job.get());
  return std::move(job->batch);
}

void Loader::SortCorrupt(Job* job) {
  std::stable_sort(job->corrupt.begin(), job->corrupt.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  absl::flat_hash_set<int64_t> seen;
  for (auto& [place, corrupt] : job->corrupt) {
    if (seen.insert(corrupt.sample).second) job->batch->corrupt.push_back(std::move(corrupt));
  }
}

void Loader::Recycle(std::unique_ptr<LoadedBatch> batch) {
  assert(batch != nullptr);
  batch->corrupt.clear();
  MutexLock lock(&mutex_);
  if (spare_.size() < static_cast<size_t>(options_.prefetch)) spare_.push_back(std::move(batch));
}

void Loader::Cancel() {
  MutexLock lock(&mutex_);
  for (const std::shared_ptr<Job>& job : jobs_) job->abandoned = true;
  jobs_.clear();
}

void Loader::Stop() {
  MutexLock lock(&mutex_);
  stopped_ = true;
  work_.NotifyAll();
  finished_.NotifyAll();
}

int64_t Loader::stalls() const {
  MutexLock lock(&mutex_);
  return stalls_;
}

int64_t Loader::ready() const {
  MutexLock lock(&mutex_);
  return std::count_if(jobs_.begin(), jobs_.end(), [](const std::shared_ptr<Job>& job) { return job->over(); });
}

int64_t Loader::corrupt_samples() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(corrupt_.size());
}

std::shared_ptr<Loader::Job> Loader::FindWork() {
  const size_t ahead = std::min(jobs_.size(), static_cast<size_t>(options_.prefetch));
  for (size_t i = 0; i < ahead; ++i) {
    if (!jobs_[i]->abandoned && jobs_[i]->claimed < jobs_[i]->batch->request.size) return jobs_[i];
  }
  return nullptr;
}

void Loader::Allocate(Job* job) {
  const BatchRequest request = job->batch->request;
  if (!spare_.empty()) {
    job->batch = std::move(spare_.back());
    spare_.pop_back();
  }
  job->batch->request = request;
  job->batch->images.resize(size_t(request.size) * 3 * options_.image_size * options_.image_size);
  job->batch->labels.resize(request.size);
  job->batch->samples.resize(request.size);
}

void Loader::Run() {
  SampleBuffers buffers;
  std::vector<CorruptSample> corrupt;
  while (true) {
    std::shared_ptr<Job> job;
    int64_t place;
    {
      MutexLock lock(&mutex_);
      while (!stopped_ && (job = FindWork()) == nullptr) work_.Wait(&mutex_);
      if (stopped_) return;
      place = job->claimed++;
      if (place == 0) Allocate(job.get());
    }
    corrupt.clear();
    absl::Status status = Fill(*job, place, &buffers, &corrupt);

    MutexLock lock(&mutex_);
    for (CorruptSample& replaced : corrupt) job->corrupt.emplace_back(place, std::move(replaced));
    if (!status.ok()) {
      if (job->status.ok() || place < job->failed_place) {
        job->status = std::move(status);
        job->failed_place = place;
      }
      job->abandoned = true;
    }
    ++job->finished;
    finished_.NotifyAll();
  }
}

absl::Status Loader::Fill(const Job& job, int64_t place, SampleBuffers* buffers, std::vector<CorruptSample>* corrupt) {
  const BatchRequest& request = job.batch->request;
  const int64_t all = dataset_->samples();
  const int side = options_.image_size;
  for (int64_t tried = 0; tried < all; ++tried) {
    const int64_t sample = job.order.SampleAt((request.first + place + tried) % all);
    const absl::StatusOr<LabeledImage> read = dataset_->Read(sample, side, buffers);
    if (read.ok()) {
      RenderAugmented(*read->image, DrawAugmentation(options_.augment, options_.seed, request.epoch, sample, side),
                      options_.normalization, job.batch->images.data() + size_t(place) * 3 * side * side);
      job.batch->labels[place] = read->label;
      job.batch->samples[place] = sample;
      return absl::OkStatus();
    }
    // Only damaged bytes are the same for every worker; any other error ends the run.
    if (!absl::IsDataLoss(read.status())) return read.status();
    corrupt->push_back({sample, std::string(read.status().message())});
    RETURN_IF_ERROR(CountCorrupt(corrupt->back()));
  }
  return absl::DataLossError(absl::StrCat("none of the ", all, " samples of ", dataset_->path(), " can be decoded"));
}

absl::Status Loader::CountCorrupt(const CorruptSample& corrupt) {
  MutexLock lock(&mutex_);
  corrupt_.insert(corrupt.sample);
  const double all = static_cast<double>(dataset_->samples());
  if (static_cast<double>(corrupt_.size()) <= options_.max_corrupt_share * all) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(corrupt_.size(), " of the ", dataset_->samples(), " samples of ",
                                          dataset_->path(), " can't be decoded, more than data.max_corrupt_share = ",
                                          options_.max_corrupt_share, " allows; the last of them: ", corrupt.reason));
}

}  // namespace arcshard::worker
