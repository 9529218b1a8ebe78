#include "common/trace/tracer.h"

#include <cassert>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/io/output_file.h"

namespace arcshard {
namespace {

constexpr int kLastPlace = 1'000'000'000;  // of a process without a name of its own

void TellOfEnd(absl::string_view path, absl::string_view why) {
  LogError(absl::StrCat("the trace ", path, " ends here: ", why, "; the run continues"));
}

}  // namespace

std::unique_ptr<Tracer> Tracer::Start(const Options& options) {
  assert(options.clock != nullptr && options.most_waiting > 0);
  if (options.path.empty()) return nullptr;
  const auto create = [&options]() -> absl::StatusOr<TraceFile> {
    if (options.files == RealFileSystem()) RETURN_IF_ERROR(CheckOutputFile(options.path, /*force=*/true));
    return TraceFile::Create(options.path, options.files);
  };
  absl::StatusOr<TraceFile> file = create();
  if (!file.ok()) {
    LogError(absl::StrCat("there is no trace: ", file.status().message(), "; the run continues"));
    return nullptr;
  }
  return absl::WrapUnique(new Tracer(options, *std::move(file)));
}

Tracer::Tracer(const Options& options, TraceFile file) : options_(options), file_(std::move(file)) {
  thread_ = std::thread([this] {
    Batch batch;
    while (AwaitBatch(&batch)) Write(batch);
    Write(batch);
    WriteEnd();
  });
}

Tracer::~Tracer() {
  {
    MutexLock lock(&mutex_);
    ends_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

void Tracer::NameProcess(const std::string& name, int place) {
  MutexLock lock(&mutex_);
  named_ = true;
  waiting_.lines.push_back(file_.ProcessName(name, place));
}

uint32_t Tracer::RowOf(const std::string& name) {
  MutexLock lock(&mutex_);
  const auto [row, is_new] = rows_.try_emplace(name, static_cast<uint32_t>(rows_.size()) + 1);
  if (is_new) waiting_.lines.push_back(file_.RowName(row->second, name));
  return row->second;
}

void Tracer::Add(const Span& span) {
  MutexLock lock(&mutex_);
  if (full_ || waiting_.spans.size() >= options_.most_waiting) {
    ++dropped_;
    return;
  }
  waiting_.spans.push_back(span);
  if (waiting_.spans.size() == (options_.most_waiting + 1) / 2) wake_.NotifyAll();
}

bool Tracer::AwaitBatch(Batch* batch) {
  batch->lines.clear();
  batch->spans.clear();
  const MonotonicTime due = options_.clock->Now() + options_.flush_every;
  MutexLock lock(&mutex_);
  while (!ends_ && options_.clock->Now() < due && waiting_.spans.size() < (options_.most_waiting + 1) / 2) {
    options_.clock->WaitUntil(due, &mutex_, &wake_);
  }
  std::swap(*batch, waiting_);
  return !ends_;
}

void Tracer::Write(const Batch& batch) {
  {
    MutexLock lock(&mutex_);
    if (full_) {
      dropped_ += batch.spans.size();  // were added before it was full
      return;
    }
  }
  std::string text;
  for (const std::string& line : batch.lines) text += line;
  for (const Span& span : batch.spans) text += file_.LineOf(span);
  if (text.empty()) return;
  absl::Status status;
  if (file_.bytes() + text.size() > options_.most_bytes) {
    status = absl::ResourceExhaustedError(absl::StrCat("it has ", file_.bytes(), " bytes"));
  } else {
    status = file_.Append(text);
    disk_failed_ = !status.ok();
  }
  if (status.ok()) return;
  TellOfEnd(file_.path(), status.message());
  MutexLock lock(&mutex_);
  full_ = true;
  dropped_ += batch.spans.size();
}

void Tracer::WriteEnd() {
  // The file may end within a line, which its readers expect.
  if (disk_failed_) return;
  uint64_t dropped;
  bool named;
  {
    MutexLock lock(&mutex_);
    dropped = dropped_;
    named = named_;
  }
  absl::Status status;
  if (!named) status = file_.Append(file_.ProcessName(options_.process, kLastPlace));
  if (status.ok()) status = file_.Close(dropped);
  if (!status.ok()) TellOfEnd(file_.path(), status.message());
}

}  // namespace arcshard
