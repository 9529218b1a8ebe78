#include "shard_server/held_range.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "shard_server/checkpoint/class_centers.h"
#include "shard_server/checkpoint/first_rows.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/head_from_config.h"
#include "shard_server/metered_head.h"
#include "shard_server/product_choice.h"

namespace arcshard::shard {

absl::StatusOr<std::unique_ptr<HeldRange>> HeldRange::Create(const Options& options, const ViewAnnouncement& view,
                                                             ClassRange range) {
  head::HeadOptions head_options = HeadOptionsOf(*options.config, view.num_classes, range, options.device);
  head_options.first_weights = view.checkpoint.empty();
  if (head_options.device == head::Device::kCpu && head_options.compute == head::DataType::kBfloat16) {
    const head::ProductTimes times = MeasureProducts(*options.config, *options.clock);
    head_options.bfloat16_products = ChooseProducts(*options.config, times);
    if (const std::string note = NoteOnProducts(*options.config, times); !note.empty()) LogInfo(note);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head, head::Head::Create(head_options, options.capacity_bytes));
  options.metrics->classes.Set(static_cast<double>(range.size()));
  options.metrics->bytes.Set(static_cast<double>(head::Head::RequiredBytes(head_options)));
  auto held = absl::WrapUnique(new HeldRange(options, std::move(head)));
  LogInfo(absl::StrCat("has the ", held->Name()));
  return held;
}

HeldRange::HeldRange(const Options& options, std::unique_ptr<head::Head> head)
    : config_(options.config),
      files_(options.files),
      head_(std::make_unique<MeteredHead>(std::move(head), options.metrics, options.clock)),
      checkpointer_({options.config->run.folder, options.config->checkpoint.buffer_mb << 20}, head_.get(),
                    options.files, options.metrics, options.clock, options.report),
      has_first_rows_(head_->options().first_weights) {}

absl::Status HeldRange::Restore(const ViewAnnouncement& view) {
  // It would go on to read rows that are not those of its state.
  checkpointer_.GiveUp();
  checkpointer_.Await();
  const bool has_first_rows = std::exchange(has_first_rows_, false);
  if (!view.checkpoint.empty()) {
    RETURN_IF_ERROR(BlameCheckpoint(RestoreRows(files_, view.checkpoint, view.base, head_.get())));
    LogInfo(
        absl::StrCat("restored the ", Name(), " to the state after step ", view.base.step, " from ", view.checkpoint));
    return absl::OkStatus();
  }
  if (!has_first_rows) RETURN_IF_ERROR(WriteFirstRows(head_.get()));
  RETURN_IF_ERROR(InitRows(files_, config_->init_from, head_.get()));
  if (!config_->head.init.empty()) RETURN_IF_ERROR(LoadClassCenters(config_->head.init, head_.get()));
  LogInfo(absl::StrCat("holds the first weights of the ", Name()));
  return absl::OkStatus();
}

std::string HeldRange::Name() const {
  const head::HeadOptions& options = head_->options();
  return absl::StrCat("classes [", options.range.begin, ", ", options.range.end, ") of ", options.num_classes);
}

}  // namespace arcshard::shard
