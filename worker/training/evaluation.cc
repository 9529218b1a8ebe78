#include "worker/training/evaluation.h"

#include <algorithm>
#include <cstring>

#include "ATen/ops/flip.h"
#include "ATen/ops/from_blob.h"
#include "ATen/ops/zeros.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {
namespace {

void Store(const at::Tensor& embedding, int64_t row, absl::Span<float> rows) {
  const at::Tensor values = embedding.contiguous();
  std::memcpy(rows.data() + row * values.size(1), values.const_data_ptr<float>(), values.numel() * sizeof(float));
}

absl::StatusOr<VerificationResult> VerifyEmbeddings(const VerificationSet& set, absl::Span<const float> originals,
                                                    absl::Span<const float> flips, int64_t dim) {
  auto result = Verify(originals, flips, dim, set.same());
  if (!result.ok()) return Annotate(result.status(), set.path());
  return result;
}

}  // namespace

absl::Status EmbedImages(Backbone* backbone, const VerificationSet& set, const EmbedOptions& options, int64_t begin,
                         int64_t end, absl::Span<float> originals, absl::Span<float> flips) {
  const int size = static_cast<int>(backbone->options().image_size);
  const int64_t floats = int64_t{3} * size * size;
  ImageReader reader;
  std::vector<float> pixels;
  for (int64_t first = begin; first < end; first += options.batch_size) {
    const int64_t count = std::min(options.batch_size, end - first);
    pixels.resize(count * floats);
    for (int64_t i = 0; i < count; ++i) {
      const Image* image = nullptr;
      if (absl::Status status = reader.Read(set.image(first + i), size, &image); !status.ok()) {
        return Annotate(status, absl::StrCat(set.path(), ": image ", first + i));
      }
      NormalizeImage(*image, options.normalization, pixels.data() + i * floats);
    }
    const at::Tensor images = at::from_blob(pixels.data(), {count, 3, size, size}, at::kFloat);
    ASSIGN_OR_RETURN(const at::Tensor original, backbone->Forward(images, ForwardContext{}));
    Store(original, first, originals);
    ASSIGN_OR_RETURN(const at::Tensor flip, backbone->Forward(at::flip(images, {3}), ForwardContext{}));
    Store(flip, first, flips);
  }
  return absl::OkStatus();
}

absl::StatusOr<VerificationResult> VerifySet(Backbone* backbone, const VerificationSet& set,
                                             const EmbedOptions& options) {
  const int64_t dim = backbone->options().embedding_size;
  std::vector<float> originals(set.images() * dim), flips(set.images() * dim);
  RETURN_IF_ERROR(
      EmbedImages(backbone, set, options, 0, set.images(), absl::MakeSpan(originals), absl::MakeSpan(flips)));
  return VerifyEmbeddings(set, originals, flips, dim);
}

absl::StatusOr<std::vector<VerificationResult>> VerifyTogether(Backbone* backbone,
                                                               absl::Span<const std::unique_ptr<VerificationSet>> sets,
                                                               const EmbedOptions& options, size_t position,
                                                               size_t workers, AllReduce* all_reduce) {
  const int64_t dim = backbone->options().embedding_size;
  std::vector<VerificationResult> results;
  for (const auto& set : sets) {
    // Rows that others embed stay 0, so that the sum is a gathering.
    const int64_t images = set->images();
    const at::Tensor mine = at::zeros({2 * images * dim}, at::kFloat);
    const absl::Span<float> rows(mine.mutable_data_ptr<float>(), mine.numel());
    const int64_t begin = images * static_cast<int64_t>(position) / static_cast<int64_t>(workers);
    const int64_t end = images * static_cast<int64_t>(position + 1) / static_cast<int64_t>(workers);
    RETURN_IF_ERROR(
        EmbedImages(backbone, *set, options, begin, end, rows.subspan(0, images * dim), rows.subspan(images * dim)));
    ASSIGN_OR_RETURN(const at::Tensor all, all_reduce->Sum(mine));
    const absl::Span<const float> gathered(all.const_data_ptr<float>(), all.numel());
    ASSIGN_OR_RETURN(VerificationResult result,
                     VerifyEmbeddings(*set, gathered.subspan(0, images * dim), gathered.subspan(images * dim), dim));
    results.push_back(result);
  }
  return results;
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
