#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/file_system.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/replay_record.h"

// The history of a run with run.record: a safetensors file for each decided step, named after the state that it leads
// to.
//
//   RUN/record/step-00000017-0123456789abcdef.safetensors
//
// With B samples, D dimensions, m micro-batches, M workers, K shards:
//
//   labels               I64 B        in the order of the plan
//   range_ends           I64 K        the end of each shard's range of classes
//   embedding            F32 B×D      as the workers sent it
//   r, t                 F32 B
//   micro_batch_sizes    U32 m
//   micro_batch_workers  U32 m        which worker computed it
//   workers              U32 M        ids of the view's workers, in its order
//   group_sizes          U32          of the calls of pass 1, in their order
//   group_members        U32 m        their micro-batches
//   crc32c               U32 1        of all bytes of the file before it
//
// The metadata say the rest: view, step, epoch, first_sample, outcome and lr of the decision, the lineages before and
// after it, and the configuration's ComputeFingerprint.
//
// A rollback leaves the files of the steps that it undoes: other decisions then lead to other lineages, and so to other
// names. Whatever process writes the file of a state writes the same.
namespace arcshard::shard {

struct RecordedStep {
  std::shared_ptr<const ReplayRecord> record;  // decided and complete
  StatePoint before;
  std::vector<int64_t> range_ends;  // of the view's shards; the last is N
  uint64_t configuration = 0;       // ComputeFingerprint
};

std::string RecordFolder(absl::string_view run_folder);           // RUN/record
std::string RecordName(const StatePoint& after);                  // step-00000017-0123456789abcdef.safetensors
std::optional<StatePoint> PointOfRecord(absl::string_view name);  // nullopt: it is not such a name

// Writes the file into `folder`, which exists, complete and durable or not at all. Errors are SafetensorsWriter's.
absl::Status WriteRecord(FileSystem* files, const std::string& folder, const RecordedStep& step);

// Reads and checks the record that leads to `after`. NotFound: there is none. DataLoss: a byte differs from what was
// written, or the file contradicts itself, its name, or the decision's lineage. Errors name the file.
absl::StatusOr<RecordedStep> ReadRecord(FileSystem* files, const std::string& folder, const StatePoint& after);

}  // namespace arcshard::shard
