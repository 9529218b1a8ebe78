#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"
#include "shard_server/head/label_set.h"

namespace arcshard::head {

// The checks of Head::Create and of CheckedHead's functions. They return InvalidArgument, with the offending values in
// the message, unless a comment says otherwise.
absl::Status CheckOptions(const HeadOptions& options);
absl::Status CheckForward(const HeadOptions& options, absl::Span<const ForwardInput> group,
                          absl::Span<const ForwardOutput> outputs);
absl::Status CheckUpdateGroup(const HeadOptions& options, absl::Span<const UpdateInput> group);
absl::Status CheckBegin(const HeadOptions& options, uint64_t step, absl::Span<const int64_t> labels);
absl::Status CheckRows(const HeadOptions& options, ClassRange range, MatrixView<const float> rows);
absl::Status CheckMoment(const HeadOptions& options, int moment);
// FailedPrecondition: the optimizer has no counts.
absl::Status CheckCounts(const HeadOptions& options, ClassRange range, int64_t counts);
absl::Status CheckHeld(const HeadOptions& options, RowPart part, ClassRange range, size_t bytes);

// That every label of a group's micro-batch `micro_batch` is in `announced`, the labels that sampled step `step` began
// with.
absl::Status CheckAnnounced(const LabelSet& announced, uint64_t step, size_t micro_batch,
                            absl::Span<const int64_t> labels);

// The number of samples in a group.
int64_t SamplesOf(absl::Span<const ForwardInput> group);
int64_t SamplesOf(absl::Span<const UpdateInput> group);

}  // namespace arcshard::head
