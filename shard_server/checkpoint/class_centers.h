#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/class_range.h"
#include "shard_server/head/head.h"

// Class centers as files: safetensors, float32, rows×D. All of a run's in one tensor is `class_centers`; the rows
// [begin, end) of them are `class_centers.<begin>-<end>`.
namespace arcshard::shard {

// Sets the head's weights to the rows of its range in the file, which may hold them in several tensors. Moments stay.
// InvalidArgument: the file lacks some of the rows, named, has more than the run, or rows of another width. Else as
// ClassRows.
absl::Status LoadClassCenters(const std::string& path, head::Head* head);

// Writes the head's rows to <folder>/class_centers-<begin>-<end>.safetensors, whole or not at all; nothing for an empty
// range. The folder is created. Errors as SafetensorsWriter.
absl::Status SaveClassCenters(const std::string& folder, const head::Head& head);

}  // namespace arcshard::shard
