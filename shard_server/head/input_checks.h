#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"

namespace arcshard::head {

// What Head::Create, Forward, Update and the row accessors refuse, whatever the device: InvalidArgument, with the
// figures.
absl::Status CheckOptions(const HeadOptions& options);
absl::Status CheckForward(const HeadOptions& options, absl::Span<const ForwardInput> group,
                          absl::Span<const ForwardOutput> outputs);
absl::Status CheckUpdateGroup(const HeadOptions& options, absl::Span<const UpdateInput> group);
absl::Status CheckRows(const HeadOptions& options, ClassRange range, MatrixView<const float> rows);

// Samples of a group.
int64_t SamplesOf(absl::Span<const ForwardInput> group);
int64_t SamplesOf(absl::Span<const UpdateInput> group);

}  // namespace arcshard::head
