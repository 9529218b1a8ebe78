#include "shard_server/checkpoint/first_rows.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "common/base/status_macros.h"

namespace arcshard::shard {
namespace {

absl::Status WriteBlock(ClassRange rows, std::vector<float>* values, head::Head* head) {
  // Only a head on the same device computes the same bits. They depend neither on the range nor on other options.
  head::HeadOptions options = head->options();
  options.range = rows;
  options.exp_budget_bytes = 0;
  options.first_weights = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<head::Head> first,
                   head::Head::Create(options, std::numeric_limits<int64_t>::max()));
  values->resize(static_cast<size_t>(rows.size() * options.dim));
  const head::MatrixView<float> matrix{values->data(), rows.size(), options.dim};
  const head::MatrixView<const float> read{values->data(), rows.size(), options.dim};
  RETURN_IF_ERROR(first->ReadWeights(rows, matrix));
  RETURN_IF_ERROR(head->WriteWeights(rows, read));
  for (int moment = 0; moment < options.num_moments(); ++moment) {
    RETURN_IF_ERROR(first->ReadMoment(moment, rows, matrix));
    RETURN_IF_ERROR(head->WriteMoment(moment, rows, read));
  }
  if (head::HeldBytes(options, head::RowPart::kCounts) == 0) return absl::OkStatus();
  std::vector<uint32_t> counts(static_cast<size_t>(rows.size()));
  RETURN_IF_ERROR(first->ReadCounts(rows, absl::MakeSpan(counts)));
  return head->WriteCounts(rows, counts);
}

}  // namespace

absl::Status WriteFirstRows(head::Head* head, int64_t block_bytes) {
  const head::HeadOptions& options = head->options();
  const int64_t block = std::max<int64_t>(1, block_bytes / (options.dim * static_cast<int64_t>(sizeof(float))));
  std::vector<float> values;
  for (int64_t begin = options.range.begin; begin < options.range.end; begin += block) {
    RETURN_IF_ERROR(WriteBlock({begin, std::min(options.range.end, begin + block)}, &values, head));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::shard
