#include "worker/inference/evaluation.h"

#include "ATen/ops/zeros.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/inference/image_sources.h"

namespace arcshard::worker {
namespace {

absl::StatusOr<VerificationResult> VerifyEmbeddings(const VerificationSet& set, absl::Span<const float> originals,
                                                    absl::Span<const float> flips, int64_t dim) {
  auto result = Verify(originals, flips, dim, set.same());
  if (!result.ok()) return Annotate(result.status(), set.path());
  return result;
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

absl::StatusOr<std::vector<VerificationResult>> VerifyTogether(Backbone* backbone,
                                                               absl::Span<const std::unique_ptr<VerificationSet>> sets,
                                                               const EmbedOptions& options, size_t position,
                                                               size_t workers, AllReduce* all_reduce) {
  const int64_t dim = backbone->options().embedding_size;
  std::vector<VerificationResult> results;
  for (const auto& set : sets) {
    // The rows of the other workers' images stay 0, so that the sum gathers all embeddings.
    const int64_t images = set->images();
    const at::Tensor mine = at::zeros({2 * images * dim}, at::kFloat);
    const absl::Span<float> all_rows(mine.mutable_data_ptr<float>(), mine.numel());
    const int64_t begin = images * static_cast<int64_t>(position) / static_cast<int64_t>(workers);
    const int64_t end = images * static_cast<int64_t>(position + 1) / static_cast<int64_t>(workers);
    const EmbeddedRows rows{all_rows.subspan(begin * dim, (end - begin) * dim),
                            all_rows.subspan((images + begin) * dim, (end - begin) * dim),
                            {},
                            {}};
    RETURN_IF_ERROR(EmbedRange(backbone, *ImagesOf(*set), options, begin, end, rows));
    ASSIGN_OR_RETURN(const at::Tensor all, all_reduce->Sum(mine));
    const absl::Span<const float> gathered(all.const_data_ptr<float>(), all.numel());
    ASSIGN_OR_RETURN(VerificationResult result,
                     VerifyEmbeddings(*set, gathered.subspan(0, images * dim), gathered.subspan(images * dim), dim));
    results.push_back(result);
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
