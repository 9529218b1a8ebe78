#include "shard_server/checkpoint/row_copier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::shard {
namespace {

constexpr int64_t kBlockBytes = int64_t{8} << 20;  // of rows as float32

}  // namespace

RowCopier::RowCopier(const ClassRows* rows, std::vector<RowKind> kinds, head::Head* head)
    : rows_(rows), kinds_(std::move(kinds)), head_(head) {}

absl::Status RowCopier::Copy(int64_t first, ClassRange to) {
  const int64_t dim = head_->options().dim;
  const int64_t block = std::max<int64_t>(1, kBlockBytes / (dim * static_cast<int64_t>(sizeof(float))));
  for (const RowKind kind : kinds_) {
    for (int64_t begin = to.begin; begin < to.end; begin += block) {
      const ClassRange rows{begin, std::min(to.end, begin + block)};
      RETURN_IF_ERROR(CopyBlock(kind, first + begin - to.begin, rows));
    }
  }
  return absl::OkStatus();
}

absl::Status RowCopier::CopyBlock(RowKind kind, int64_t first, ClassRange to) {
  const ClassRange from{first, first + to.size()};
  if (kind == RowKind::kCounts) {
    counts_.resize(static_cast<size_t>(to.size()));
    RETURN_IF_ERROR(rows_->ReadCounts(from, absl::MakeSpan(counts_)));
    return head_->WriteCounts(to, counts_);
  }
  const int64_t dim = head_->options().dim;
  values_.resize(static_cast<size_t>(to.size() * dim));
  RETURN_IF_ERROR(rows_->Read(kind, from, absl::MakeSpan(values_)));
  const head::MatrixView<const float> values = {values_.data(), to.size(), dim};
  if (kind == RowKind::kCenters) return head_->WriteWeights(to, values);
  return head_->WriteMoment(kind == RowKind::kMoment0 ? 0 : 1, to, values);
}

absl::Status CheckDim(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source) {
  if (rows.dim() == options.dim) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source, ": its class centers have ", rows.dim(),
                                                 " dimensions, those of this run have ", options.dim,
                                                 " (backbone.embedding_size)"));
}

absl::Status CheckMoments(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source) {
  const int held = !rows.Has(RowKind::kMoment0) ? 0 : !rows.Has(RowKind::kMoment1) ? 1 : 2;
  if (held == options.num_moments()) return absl::OkStatus();
  constexpr const char* kOptimizers[] = {"no moments", "the moments of SGD", "the moments of AdamW"};
  return absl::InvalidArgumentError(absl::StrCat(source, ": for its class centers it holds ", kOptimizers[held],
                                                 ", but this run needs ", kOptimizers[options.num_moments()],
                                                 " (optimizer.kind)"));
}

std::vector<RowKind> KindsOf(const head::HeadOptions& options) {
  if (options.num_moments() == 1) return {RowKind::kCenters, RowKind::kMoment0};
  return {RowKind::kCenters, RowKind::kMoment0, RowKind::kMoment1, RowKind::kCounts};
}

}  // namespace arcshard::shard
