#include "worker/training/checkpoint_writer.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "ATen/ops/empty.h"
#include "absl/strings/str_cat.h"
#include "c10/core/GradMode.h"
#include "client/checkpoint_part.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/part_writer.h"
#include "worker/backbone/backbone_file.h"
#include "worker/backbone/tensor_file.h"

namespace arcshard::worker {

CheckpointWriter::CheckpointWriter(Options options) : options_(std::move(options)) {}

CheckpointWriter::~CheckpointWriter() {
  GiveUp();
  Await();
}

void CheckpointWriter::Await() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::Begin(const Request& request, const WorkerState& state) {
  const MonotonicTime begun = options_.clock->Now();
  Await();
  const SafetensorsMetadata step = {{"step", absl::StrCat(request.step)}};
  backbone_.metadata = BackboneMetadata(*state.backbone, step);
  optimizer_.metadata = step;
  optimizer_.metadata["format"] = "arcshard";
  optimizer_.metadata["optimizer"] = std::string(state.optimizer->kind());
  absl::Status status = CopyAside(state.backbone->state_dict(), &backbone_);
  if (status.ok()) status = CopyAside(OptimizerTensors(state), &optimizer_);
  if (!status.ok()) {
    options_.report({.view = request.view, .step = request.step, .status = status});
    return;
  }
  thread_ = std::thread([this, request, begun] { Write(request, begun); });
}

absl::Status CheckpointWriter::CopyAside(std::vector<NamedTensor> tensors, File* file) {
  c10::NoGradGuard no_grad;
  // Safetensors files hold wide types first, so that all values are aligned.
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return a.tensor.element_size() > b.tensor.element_size();
  });
  const bool fits = std::equal(tensors.begin(), tensors.end(), file->tensors.begin(), file->tensors.end(),
                               [](const NamedTensor& a, const NamedTensor& b) {
                                 return a.name == b.name && a.tensor.sizes() == b.tensor.sizes();
                               });
  if (!fits) {
    file->tensors.clear();
    try {
      for (const NamedTensor& named : tensors) {
        const auto options = at::TensorOptions(named.tensor.scalar_type()).pinned_memory(named.tensor.is_cuda());
        file->tensors.push_back({named.name, at::empty(named.tensor.sizes(), options)});
      }
    } catch (const std::exception& error) {
      file->tensors.clear();
      const std::string text = error.what();
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory to copy the state aside: ", text.substr(0, text.find('\n'))));
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) file->tensors[i].tensor.copy_(tensors[i].tensor);
  return absl::OkStatus();
}

void CheckpointWriter::Write(const Request& request, MonotonicTime begun) {
  client::LetTrainingGoFirst();
  CheckpointReport report{.view = request.view, .step = request.step};
  report.status = WriteFiles(request.folder, &report.files);
  if (given_up_) return;
  report.took = options_.clock->Now() - begun;
  if (!report.status.ok()) {
    // One of the files is useless without the other, and may be what fills the disk.
    for (const File* file : {&backbone_, &optimizer_})
      options_.files->Remove(absl::StrCat(request.folder, "/", file->name)).IgnoreError();
    report.files.clear();
  }
  client::TellOfPart(report, options_.metrics);
  options_.report(report);
}

absl::Status CheckpointWriter::WriteFiles(const std::string& folder, std::vector<FileRecord>* written) const {
  for (const File* file : {&backbone_, &optimizer_}) {
    ASSIGN_OR_RETURN(FileRecord record, WriteFile(folder, *file));
    written->push_back(std::move(record));
  }
  return absl::OkStatus();
}

absl::StatusOr<FileRecord> CheckpointWriter::WriteFile(const std::string& folder, const File& file) const {
  std::vector<TensorSpec> specs;
  for (const NamedTensor& named : file.tensors) specs.push_back(SpecOf(named));
  ASSIGN_OR_RETURN(const std::unique_ptr<PartWriter> part,
                   PartWriter::Create(options_.files, folder, file.name, specs, file.metadata));
  for (size_t i = 0; i < specs.size(); ++i) {
    if (given_up_) return absl::CancelledError("the run has ended");
    RETURN_IF_ERROR(part->Append(specs[i].name, specs[i].dtype, BytesOf(file.tensors[i].tensor)));
  }
  return part->Finish();
}

}  // namespace arcshard::worker
