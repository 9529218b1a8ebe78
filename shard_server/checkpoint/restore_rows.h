#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "shard_server/head/head.h"

// A head's rows from checkpoints, whatever ranges wrote them: in blocks, so that no range is in memory twice. Only what
// the head's range needs is read, and all that is read is checked. Errors name the folder or file.
namespace arcshard::shard {

// Everything that the head holds becomes what it was after `step`, which the checkpoint in `folder` is of.
// FailedPrecondition: it is of another step. InvalidArgument: it has another number of classes or dimensions, or the
// moments of another optimizer, or lacks a row. Else as OpenCheckpoint: NotFound, DataLoss, Unavailable.
absl::Status RestoreRows(FileSystem* files, const std::string& folder, uint64_t step, head::Head* head);

// The first rows of a run that begins from another's checkpoint: class j is the one that init_from.classes names, or j,
// and stays as it was drawn where that is new or beyond the checkpoint. Nothing where init_from does not speak of class
// centers. Errors likewise, and those of ReadClassMap.
absl::Status InitRows(FileSystem* files, const RunConfig::InitFrom& init_from, head::Head* head);

}  // namespace arcshard::shard
