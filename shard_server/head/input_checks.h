#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"

namespace arcshard::head {

// What Head::Create, Begin, Forward, Update and the row accessors refuse, whatever the device: InvalidArgument, with
// the figures.
absl::Status CheckOptions(const HeadOptions& options);
absl::Status CheckForward(const HeadOptions& options, absl::Span<const ForwardInput> group,
                          absl::Span<const ForwardOutput> outputs);
absl::Status CheckUpdateGroup(const HeadOptions& options, absl::Span<const UpdateInput> group);
absl::Status CheckRows(const HeadOptions& options, ClassRange range, MatrixView<const float> rows);
absl::Status CheckBegin(const HeadOptions& options, uint64_t step, absl::Span<const int64_t> labels);
absl::Status CheckMoment(const HeadOptions& options, int moment);
// FailedPrecondition: the optimizer has no counts.
absl::Status CheckCounts(const HeadOptions& options, ClassRange range, int64_t counts);

absl::Status CheckHeld(const HeadOptions& options, RowPart part, ClassRange range, size_t bytes);

// InvalidArgument: a label of that micro-batch of a group was not among those that Begin was given.
absl::Status UnannouncedLabel(uint64_t step, size_t micro_batch, int64_t label);

// Samples of a group.
int64_t SamplesOf(absl::Span<const ForwardInput> group);
int64_t SamplesOf(absl::Span<const UpdateInput> group);

}  // namespace arcshard::head
