#include "shard_server/held_range.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "shard_server/checkpoint/class_centers.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/head_from_config.h"
#include "shard_server/metered_head.h"

namespace arcshard::shard {

absl::StatusOr<std::unique_ptr<HeldRange>> HeldRange::Build(const Options& options, const ViewAnnouncement& view,
                                                            ClassRange range) {
  const RunConfig& config = *options.config;
  const head::HeadOptions head_options = HeadOptionsOf(config, view.num_classes, range, options.device);
  ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head, head::Head::Create(head_options, options.capacity_bytes));
  const std::string holds = absl::StrCat("holds classes [", range.begin, ", ", range.end, ") of ", view.num_classes);
  if (!view.checkpoint.empty()) {
    RETURN_IF_ERROR(BlameCheckpoint(RestoreRows(options.files, view.checkpoint, view.last_decided_step, head.get())));
    LogInfo(
        absl::StrCat(holds, ", restored to the state after step ", view.last_decided_step, " from ", view.checkpoint));
  } else {
    RETURN_IF_ERROR(InitRows(options.files, config.init_from, head.get()));
    if (!config.head.init.empty()) RETURN_IF_ERROR(LoadClassCenters(config.head.init, head.get()));
    LogInfo(holds);
  }
  options.metrics->classes.Set(static_cast<double>(range.size()));
  options.metrics->bytes.Set(static_cast<double>(head::Head::RequiredBytes(head_options)));
  return absl::WrapUnique(new HeldRange(options, std::move(head)));
}

HeldRange::HeldRange(const Options& options, std::unique_ptr<head::Head> head)
    : head_(std::make_unique<MeteredHead>(std::move(head), options.metrics, options.clock)),
      checkpointer_({options.config->run.folder, options.config->checkpoint.buffer_mb << 20}, head_.get(),
                    options.files, options.metrics, options.clock, options.report) {}

}  // namespace arcshard::shard
