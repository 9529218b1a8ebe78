#include "shard_server/checkpoint/shard_checkpointer.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/checkpoint_part.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/run_fence.h"

namespace arcshard::shard {
namespace {

RowKind KindOf(head::RowPart part) {
  switch (part) {
    case head::RowPart::kWeights:
      return RowKind::kCenters;
    case head::RowPart::kMoment0:
      return RowKind::kMoment0;
    case head::RowPart::kMoment1:
      return RowKind::kMoment1;
    case head::RowPart::kCounts:
      return RowKind::kCounts;
  }
  return RowKind::kCenters;
}

TensorSpec SpecOf(head::RowPart part, const head::HeadOptions& options) {
  TensorSpec spec = {RowTensorName(KindOf(part), options.range), TensorDtype::kU32, {options.range.size()}};
  if (part == head::RowPart::kCounts) return spec;
  spec.shape.push_back(options.dim);
  const head::DataType type = part == head::RowPart::kWeights ? options.weights : options.moments;
  spec.dtype = type == head::DataType::kFloat32 ? TensorDtype::kF32 : TensorDtype::kBF16;
  return spec;
}

}  // namespace

ShardCheckpointer::ShardCheckpointer(Options options, head::Head* head, FileSystem* files, ShardMetrics* metrics,
                                     const Clock* clock, Report report)
    : options_(std::move(options)),
      head_(head),
      files_(files),
      metrics_(metrics),
      clock_(clock),
      report_(std::move(report)),
      snapshot_(head, options_.buffer_bytes, clock) {
  head_->Observe(&snapshot_);
}

ShardCheckpointer::~ShardCheckpointer() {
  GiveUp();
  Await();
  head_->Observe(nullptr);
}

void ShardCheckpointer::Await() {
  if (thread_.joinable()) thread_.join();
}

void ShardCheckpointer::Begin(const View& view, uint64_t step) {
  Await();
  const MonotonicTime begin = clock_->Now();
  CheckpointReport report{.view = view, .step = step};
  if (head_->options().range.size() > 0) {
    report.status = snapshot_.Begin();
    if (report.status.ok()) {
      thread_ = std::thread([this, view, step, begin] { Write(view, step, begin); });
      return;
    }
  }
  report_(report);
}

void ShardCheckpointer::Write(const View& view, uint64_t step, MonotonicTime begin) {
  client::LetTrainingGoFirst();
  CheckpointReport report{.view = view, .step = step};
  absl::StatusOr<FileRecord> part = WritePart(view, step);
  snapshot_.Abandon();  // the file may have failed before the last row was read
  report.took = clock_->Now() - begin;
  metrics_->checkpoint_stalls.Increment(absl::ToDoubleSeconds(snapshot_.waited() - waited_));
  waited_ = snapshot_.waited();
  if (part.ok()) {
    report.files.push_back(*std::move(part));
  } else {
    report.status = part.status();
  }
  client::TellOfPart(report, metrics_);
  report_(report);
}

absl::StatusOr<FileRecord> ShardCheckpointer::WritePart(const View& view, uint64_t step) {
  const head::HeadOptions& options = head_->options();
  const std::string range = absl::StrCat(options.range.begin, "-", options.range.end);
  std::vector<TensorSpec> specs;
  for (const head::RowPart part : snapshot_.parts()) specs.push_back(SpecOf(part, options));
  RunFence fence(files_, options_.run_folder, view);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<PartWriter> writer,
      PartWriter::Create(&fence, CheckpointFolder(options_.run_folder, {step, view.incarnation, view.counter}),
                         absl::StrCat("class_centers-", range, ".safetensors"), std::move(specs),
                         {{"format", "arcshard"},
                          {"num_classes", absl::StrCat(options.num_classes)},
                          {"range", range},
                          {"step", absl::StrCat(step)}}));
  RETURN_IF_ERROR(snapshot_.Write([&](head::RowPart part, absl::Span<const std::byte> bytes) {
    const TensorSpec spec = SpecOf(part, options);
    return writer->Append(spec.name, spec.dtype, bytes);
  }));
  return writer->Finish();
}

}  // namespace arcshard::shard
