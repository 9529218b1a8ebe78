#include "coordinator/run_folder/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/crc32c.h"
#include "common/io/log.h"
#include "tensorboard/event.pb.h"

namespace arcshard::coordinator {
namespace {

template <typename T>
void AppendLittleEndian(T value, std::string* bytes) {
  for (size_t i = 0; i < sizeof(value); ++i) bytes->push_back(static_cast<char>(value >> (8 * i)));
}

void AppendChecksum(absl::string_view bytes, std::string* record) {
  const uint32_t crc = Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()));
  AppendLittleEndian(((crc >> 15) | (crc << 17)) + 0xa282ead8u, record);  // as TFRecord masks it
}

tensorboard::Event EventAt(double time, uint64_t step) {
  tensorboard::Event event;
  event.set_wall_time(time);
  event.set_step(static_cast<int64_t>(step));
  return event;
}

// What was written about steps after `step` is void from here on.
tensorboard::Event StartAfter(double time, uint64_t step) {
  tensorboard::Event start = EventAt(time, step + 1);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  return start;
}

void Add(absl::string_view tag, double value, tensorboard::Event* event) {
  tensorboard::Summary::Value* const added = event->mutable_summary()->add_value();
  added->set_tag(std::string(tag));
  added->set_simple_value(static_cast<float>(value));
}

}  // namespace

std::string TensorFlowRecord(absl::string_view bytes) {
  std::string record;
  AppendLittleEndian(static_cast<uint64_t>(bytes.size()), &record);
  AppendChecksum(std::string(record), &record);
  absl::StrAppend(&record, bytes);
  AppendChecksum(bytes, &record);
  return record;
}

EventFile::EventFile(std::string folder, absl::string_view name)
    : folder_(std::move(folder)), path_(absl::StrCat(folder_, "/events.out.tfevents.", name)) {}

void EventFile::AddStep(double time, const Progress& progress) {
  tensorboard::Event event = EventAt(time, progress.step);
  Add("train/loss", progress.loss, &event);
  Add("train/target_cosine", progress.target_cosine, &event);
  Add("train/learning_rate", progress.lr, &event);
  Add("train/epoch", progress.epoch, &event);
  Add("train/samples_per_second", progress.samples_per_second, &event);
  Add("train/skipped_steps", static_cast<double>(progress.skipped), &event);
  Append(time, event.SerializeAsString());
}

void EventFile::AddVerification(double time, const Progress& progress) {
  tensorboard::Event event = EventAt(time, progress.verification_step);
  for (const VerificationReport& set : progress.verification) {
    const std::string prefix = absl::StrCat("verification/", set.name, "/");
    Add(prefix + "accuracy", set.accuracy, &event);
    Add(prefix + "xnorm", set.xnorm, &event);
    for (const AcceptRate& rate : set.accept_rates) {
      Add(absl::StrFormat("%star_at_far_%g", prefix, rate.far), rate.tar, &event);
    }
  }
  Add("verification/best_accuracy", progress.best_accuracy, &event);
  Append(time, event.SerializeAsString());
}

void EventFile::AddRollback(double time, uint64_t step) { Append(time, StartAfter(time, step).SerializeAsString()); }

absl::Status EventFile::Open() {
  if (file_.valid() && StillNames(path_, file_)) return absl::OkStatus();
  const bool lost = file_.valid();
  // What is written to a deleted file is lost, so a failure here must not be followed by a write to it.
  file_ = FileDescriptor();
  size_ = 0;
  if (mkdir(folder_.c_str(), 0777) != 0 && errno != EEXIST) return ErrnoStatus(errno, folder_, "cannot be made");
  file_ = FileDescriptor(open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file_.valid()) return ErrnoStatus(errno, path_, "cannot be made");
  if (lost) Warn(absl::DataLossError(absl::StrCat(path_, ": was deleted or renamed; a new file has what follows")));
  return absl::OkStatus();
}

std::string EventFile::Beginning(double time) const {
  tensorboard::Event version = EventAt(time, 0);
  version.set_file_version("brain.Event:2");
  return TensorFlowRecord(version.SerializeAsString()) +
         TensorFlowRecord(StartAfter(time, resumed_step_).SerializeAsString());
}

absl::Status EventFile::Write(absl::string_view records) {
  ssize_t written;
  do {
    written = write(file_.get(), records.data(), records.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(records.size())) {
    size_ += written;
    return absl::OkStatus();
  }
  const int error = written < 0 ? errno : ENOSPC;
  // A record that is cut off would make everything after it unreadable.
  if (written > 0 && ftruncate(file_.get(), size_) != 0) file_ = FileDescriptor();
  return ErrnoStatus(error, path_, "cannot be written");
}

void EventFile::Append(double time, absl::string_view bytes) {
  absl::Status status = Open();
  // A file is empty when it is new, and still if the disk was full then.
  if (status.ok()) status = Write(absl::StrCat(size_ == 0 ? Beginning(time) : "", TensorFlowRecord(bytes)));
  if (!status.ok()) Warn(status);
}

void EventFile::Warn(const absl::Status& status) {
  if (warned_) return;
  warned_ = true;
  LogError(absl::StrCat(status.message(), "; the run continues, but TensorBoard's plots will have gaps"));
}

}  // namespace arcshard::coordinator
