#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/class_range.h"
#include "common/io/file_system.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"

// Class centers in safetensors files, float32, rows×D. A tensor with all classes of a run is named `class_centers`, one
// with the rows [begin, end) `class_centers.<begin>-<end>`.
namespace arcshard::shard {

// Sets the head's weights to the rows of its range in the file, which may hold them in several tensors. Moments keep
// their values. InvalidArgument: the file lacks some of the rows (the message names them), has more classes than the
// run, or rows of another width. Other errors as of ClassRows.
absl::Status LoadClassCenters(const std::string& path, head::Head* head);

// Writes the head's rows, in `view`, to RUN/model/class_centers-<begin>-<end>.safetensors, completely or not at all,
// and nothing for an empty range. Creates the folder. Errors are those of SafetensorsWriter, with RunFence.
absl::Status SaveClassCenters(FileSystem* files, const std::string& run_folder, const View& view,
                              const head::Head& head);

}  // namespace arcshard::shard
