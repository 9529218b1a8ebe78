#include "worker/inference/evaluation.h"

#include <utility>

#include "ATen/ops/zeros.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/inference/batches.h"
#include "worker/inference/image_sources.h"

namespace arcshard::worker {
namespace {

absl::StatusOr<VerificationResult> VerifyEmbeddings(const VerificationSet& set, absl::Span<const float> originals,
                                                    absl::Span<const float> flips, int64_t dim) {
  auto result = Verify(originals, flips, dim, set.same());
  if (!result.ok()) return Annotate(result.status(), set.path());
  return result;
}

// The images that the share has to embed: [first, second).
std::pair<int64_t, int64_t> RangeOfShare(const VerificationSet& set, const VerificationShare& share) {
  const int64_t images = set.images();
  const int64_t position = static_cast<int64_t>(share.position), workers = static_cast<int64_t>(share.workers);
  return {images * position / workers, images * (position + 1) / workers};
}

absl::Status CheckImages(const ImageSource& source, int side, int threads, std::pair<int64_t, int64_t> range,
                         const std::function<absl::Status(int64_t done)>& after) {
  const auto [begin, end] = range;
  const auto new_work = [&source, side, first = begin]() -> BatchWork {
    const auto buffers = std::make_shared<SampleBuffers>();
    return [&source, side, first, buffers](int64_t i) { return source.Read(first + i, side, buffers.get()).status(); };
  };
  return RunBatches(threads, end - begin, new_work, after);
}

// Embeds images [begin, end) into their rows of `all`: those of the originals, then those of their mirror images. The
// rows of the other workers' images stay 0, so that the sum gathers all embeddings.
absl::Status EmbedShare(Backbone* backbone, const VerificationSet& set, const EmbedOptions& options,
                        std::pair<int64_t, int64_t> range, const at::Tensor& all) {
  const auto [begin, end] = range;
  const int64_t dim = backbone->options().embedding_size;
  const absl::Span<float> values(all.mutable_data_ptr<float>(), all.numel());
  const EmbeddedRows rows{values.subspan(begin * dim, (end - begin) * dim),
                          values.subspan((set.images() + begin) * dim, (end - begin) * dim),
                          {},
                          {}};
  return EmbedRange(backbone, *ImagesOf(set), options, begin, end, rows);
}

// `sum`: of all workers' embeddings and, last, how many of them have failed. `own`: whether this one has.
absl::StatusOr<VerificationResult> ResultOf(const VerificationSet& set, const at::Tensor& sum, int64_t dim,
                                            const absl::Status& own) {
  RETURN_IF_ERROR(own);
  const absl::Span<const float> values(sum.const_data_ptr<float>(), sum.numel());
  if (values.back() != 0.0f) {
    return absl::UnavailableError(
        absl::StrCat(set.path(), ": another worker could not embed its share; its log says why"));
  }
  const int64_t half = set.images() * dim;
  return VerifyEmbeddings(set, values.subspan(0, half), values.subspan(half, half), dim);
}

}  // namespace

absl::StatusOr<VerificationResult> VerifySet(Backbone* backbone, const VerificationSet& set,
                                             const EmbedOptions& options) {
  const int64_t dim = backbone->options().embedding_size;
  std::vector<float> originals(set.images() * dim), flips(set.images() * dim);
  const EmbeddedRows rows{absl::MakeSpan(originals), absl::MakeSpan(flips), {}, {}};
  RETURN_IF_ERROR(EmbedRange(backbone, *ImagesOf(set), options, 0, set.images(), rows));
  return VerifyEmbeddings(set, originals, flips, dim);
}

int64_t ImagesOfShare(absl::Span<const std::unique_ptr<VerificationSet>> sets, const VerificationShare& share) {
  int64_t images = 0;
  for (const auto& set : sets) {
    const auto [begin, end] = RangeOfShare(*set, share);
    images += end - begin;
  }
  return images;
}

absl::Status CheckSets(absl::Span<const std::unique_ptr<VerificationSet>> sets, int side, int threads,
                       const VerificationShare& share,
                       const std::function<absl::Status(int64_t images)>& after_images) {
  constexpr absl::string_view kRemedy = "; repair the set, or leave it out of verification.sets";
  int64_t before = 0;  // images of the sets before
  for (const auto& set : sets) {
    if (set->pairs() < kVerificationFolds) {
      return absl::InvalidArgumentError(absl::StrCat(
          set->path(), ": has ", set->pairs(), " pairs, but verification has ", kVerificationFolds, " folds", kRemedy));
    }
    const std::pair<int64_t, int64_t> range = RangeOfShare(*set, share);
    absl::Status stopped;
    const auto after = [&after_images, &stopped, before](int64_t done) {
      if (after_images) stopped = after_images(before + done);
      return stopped;
    };
    const absl::Status status = CheckImages(*ImagesOf(*set), side, threads, range, after);
    RETURN_IF_ERROR(stopped);
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat(status.message(), kRemedy));
    before += range.second - range.first;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<absl::StatusOr<VerificationResult>>> VerifyTogether(
    Backbone* backbone, absl::Span<const std::unique_ptr<VerificationSet>> sets, const EmbedOptions& options,
    const VerificationShare& share, AllReduce* all_reduce) {
  const int64_t dim = backbone->options().embedding_size;
  std::vector<absl::StatusOr<VerificationResult>> results;
  int64_t before = 0;  // images of the sets before
  for (const auto& set : sets) {
    const auto [begin, end] = RangeOfShare(*set, share);
    absl::Status stopped;
    EmbedOptions one = options;
    one.after_batch = [&options, &stopped, before](int64_t images) {
      if (options.after_batch) stopped = options.after_batch(before + images);
      return stopped;
    };
    const at::Tensor mine = at::zeros({2 * set->images() * dim + 1}, at::kFloat);
    const absl::Status status = EmbedShare(backbone, *set, one, {begin, end}, mine);
    RETURN_IF_ERROR(stopped);
    // All take part in every sum, so a worker that fails must not leave the others waiting.
    if (!status.ok()) mine.mutable_data_ptr<float>()[mine.numel() - 1] = 1.0f;
    ASSIGN_OR_RETURN(const at::Tensor all, all_reduce->Sum(mine));
    results.push_back(ResultOf(*set, all, dim, status));
    before += end - begin;
  }
  return results;
}

VerificationReport ReportOf(const VerificationSet& set, const VerificationResult& result) {
  return {.name = set.name(),
          .accuracy = result.accuracy,
          .std = result.accuracy_std,
          .threshold = result.best_threshold,
          .pairs = static_cast<uint64_t>(set.pairs()),
          .xnorm = result.xnorm,
          .overall_accuracy = result.overall_accuracy,
          .overall_threshold = result.overall_threshold,
          .different_pairs = result.different_pairs,
          .accept_rates = result.accept_rates};
}

absl::StatusOr<std::vector<std::unique_ptr<VerificationSet>>> LoadVerificationSets(
    const std::vector<std::string>& paths) {
  std::vector<std::unique_ptr<VerificationSet>> sets;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(std::unique_ptr<VerificationSet> set, VerificationSet::Load(path));
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace arcshard::worker
