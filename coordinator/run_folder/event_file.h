#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"
#include "coordinator/progress/progress.h"

namespace arcshard::coordinator {

// A file of events for TensorBoard, which plots the values of a run: RUN/tensorboard/events.out.tfevents.*. A life of a
// run writes a file of its own; TensorBoard shows those of a folder together. Events that cannot be written are lost
// with one warning in the log; the run continues, and the file stays readable. A file that is deleted or renamed
// meanwhile is begun again, with its folder and with a warning. Not thread-safe.
class EventFile {
 public:
  // folder: is made when the first event is written. name: what tells the file apart from those of other lives, in
  // whose order the names sort.
  EventFile(std::string folder, absl::string_view name);

  // This life goes on after `step`, not after 0: what earlier lives wrote about later steps is void. Call it before the
  // first event.
  void ResumeAfter(uint64_t step) { resumed_step_ = step; }

  // Writes loss, learning rate and the like as train/loss, ...
  void AddStep(double time, const Progress& progress);
  // Writes accuracy and accept rates as verification/SET/accuracy, ...
  void AddVerification(double time, const Progress& progress);
  // The run goes back to the state after `step`: what was written about later steps is void.
  void AddRollback(double time, uint64_t step);

 private:
  void Append(double time, absl::string_view bytes);
  absl::Status Open();
  // The records that every file begins with: its version, and from which step on earlier lives' events are void.
  std::string Beginning(double time) const;
  // Whole records; the file keeps all or none of them.
  absl::Status Write(absl::string_view records);
  void Warn(const absl::Status& status);

  const std::string folder_;
  const std::string path_;
  uint64_t resumed_step_ = 0;
  FileDescriptor file_;
  int64_t size_ = 0;  // of the whole records in the file
  bool warned_ = false;
};

// A record of TFRecord: the length, the bytes, and a masked CRC-32C of each.
std::string TensorFlowRecord(absl::string_view bytes);

}  // namespace arcshard::coordinator
