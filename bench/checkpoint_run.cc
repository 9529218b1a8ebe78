#include "bench/checkpoint_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file.h"
#include "common/io/file_system.h"

namespace arcshard::bench {
namespace {

constexpr View kView{1, 1};
constexpr size_t kWrite = size_t{1} << 20;

double SecondsSince(MonotonicTime begin) { return absl::ToDoubleSeconds(SystemClock().Now() - begin); }

}  // namespace

CheckpointRun::CheckpointRun(std::string folder, std::unique_ptr<HeadStep> step, int64_t buffer_mb)
    : folder_(std::move(folder)),
      metrics_(&registry_),
      step_(std::move(step)),
      checkpointer_({folder_, buffer_mb << 20}, step_->head(), RealFileSystem(), &metrics_, &clock_,
                    [this](const CheckpointReport& report) {
                      MutexLock lock(&mutex_);
                      reports_.push_back(report);
                      changed_.NotifyAll();
                    }) {}

absl::StatusOr<std::unique_ptr<CheckpointRun>> CheckpointRun::Create(const head::HeadOptions& head, int64_t batch,
                                                                     const Options& options) {
  RETURN_IF_ERROR(RealFileSystem()->CreateFolders(options.folder));
  ASSIGN_OR_RETURN(std::unique_ptr<HeadStep> step, HeadStep::Create(head, batch));
  return absl::WrapUnique(new CheckpointRun(options.folder, std::move(step), options.buffer_mb));
}

absl::StatusOr<double> CheckpointRun::Step() {
  const MonotonicTime begin = SystemClock().Now();
  RETURN_IF_ERROR(step_->Run());
  return SecondsSince(begin);
}

bool CheckpointRun::IsWritten() {
  MutexLock lock(&mutex_);
  return !reports_.empty();
}

absl::StatusOr<CheckpointReport> CheckpointRun::TakeReport() {
  checkpointer_.Await();
  CheckpointReport report;
  {
    MutexLock lock(&mutex_);
    report = std::move(reports_.front());
    reports_.clear();
  }
  RETURN_IF_ERROR(report.status);
  RETURN_IF_ERROR(RemoveCheckpoint(RealFileSystem(), CheckpointFolder(folder_, {report.step, kView.incarnation})));
  return report;
}

absl::StatusOr<CheckpointRun::Written> CheckpointRun::Write() {
  checkpointer_.Begin(kView, ++checkpoint_);
  ASSIGN_OR_RETURN(const CheckpointReport report, TakeReport());
  return Written{report.files.front().bytes, absl::ToDoubleSeconds(report.took)};
}

absl::StatusOr<double> CheckpointRun::WritePlainly(uint64_t bytes) {
  // Writes rows of the head, so that a file system with compression has the same data as for a checkpoint.
  const head::HeadOptions& options = step_->head()->options();
  const ClassRange rows{
      options.range.begin,
      options.range.begin + std::min(options.range.size(),
                                     static_cast<int64_t>(kWrite) / head::HeldBytes(options, head::RowPart::kWeights))};
  std::vector<std::byte> data(static_cast<size_t>(rows.size() * head::HeldBytes(options, head::RowPart::kWeights)));
  RETURN_IF_ERROR(step_->head()->ReadHeld(head::RowPart::kWeights, rows, absl::MakeSpan(data)));
  const std::string path = absl::StrCat(folder_, "/plain");
  const MonotonicTime begin = SystemClock().Now();
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.valid()) return ErrnoStatus(errno, path, "cannot create");
  while (bytes > 0) {
    const ssize_t written = ::write(file.get(), data.data(), std::min<uint64_t>(bytes, data.size()));
    if (written <= 0) return ErrnoStatus(errno, path, "cannot write");
    bytes -= static_cast<uint64_t>(written);
  }
  if (::fsync(file.get()) != 0) return ErrnoStatus(errno, path, "cannot fsync");
  const double seconds = SecondsSince(begin);
  if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, path, "cannot remove");
  return seconds;
}

absl::StatusOr<CheckpointRun::Overlap> CheckpointRun::StepsDuringOne() {
  const double stalls = metrics_.checkpoint_stalls.Value();
  checkpointer_.Begin(kView, ++checkpoint_);
  Overlap overlap;
  while (!IsWritten()) {
    ASSIGN_OR_RETURN(const double seconds, Step());
    overlap.seconds += seconds;
    ++overlap.steps;
  }
  RETURN_IF_ERROR(TakeReport().status());
  overlap.stall_seconds = metrics_.checkpoint_stalls.Value() - stalls;
  return overlap;
}

}  // namespace arcshard::bench
