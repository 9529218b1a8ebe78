#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"

// Reads a head's rows from checkpoints, whose files may cover other ranges. Only the blocks that the head's range needs
// are read, and each block is checked. Errors name the folder or file.
namespace arcshard::shard {

// Brings everything that the head holds to the state `point`, from the checkpoint in `folder`; nothing of what it held
// is left. FailedPrecondition: the checkpoint is of another step or lineage. InvalidArgument: it has another number of
// classes or dimensions, or the moments of another optimizer, or lacks a row. Other errors as of OpenCheckpoint:
// NotFound, DataLoss, Unavailable.
absl::Status RestoreRows(FileSystem* files, const std::string& folder, const StatePoint& point, head::Head* head);

// Sets the first rows of a run that starts from another run's checkpoint. Class j becomes the class that
// init_from.classes names for it, without that key class j. It keeps its random center if it is new or not in the
// checkpoint. Does nothing if init_from does not include class centers. Errors likewise, and those of ReadClassMap.
absl::Status InitRows(FileSystem* files, const RunConfig::InitFrom& init_from, head::Head* head);

}  // namespace arcshard::shard
