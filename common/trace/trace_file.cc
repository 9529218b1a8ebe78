#include "common/trace/trace_file.h"

#include <unistd.h>

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/fnv1a.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "nlohmann/json.hpp"

namespace arcshard {
namespace {

// Below 2³², which viewers take, and its last seven digits are the process's number here.
uint64_t NumberInTrace() {
  return ExtendFnv1a(kFnv1aBasis, HostName()) % 400 * 10'000'000 + static_cast<uint64_t>(getpid());
}

std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

double Microseconds(absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); }

}  // namespace

absl::StatusOr<TraceFile> TraceFile::Create(const std::string& path, FileSystem* files) {
  const size_t folder = path.rfind('/') + 1;  // 0: there is none
  const std::string name =
      path.substr(0, folder) + absl::StrReplaceAll(path.substr(folder), {{"%p", absl::StrCat(getpid())}});
  const absl::Status removed = files->Remove(name);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> made, files->Create(name));
  TraceFile file(name, std::move(made));
  RETURN_IF_ERROR(file.Append("[\n"));
  return file;
}

TraceFile::TraceFile(std::string path, std::unique_ptr<WritableFile> file)
    : path_(std::move(path)), file_(std::move(file)), process_(NumberInTrace()) {}

std::string TraceFile::ProcessName(absl::string_view name, int place) const {
  return absl::StrCat(R"({"ph":"M","name":"process_name","pid":)", process_, R"(,"args":{"name":)", Quoted(name),
                      "}},\n", R"({"ph":"M","name":"process_sort_index","pid":)", process_, R"(,"args":{"sort_index":)",
                      place, "}},\n");
}

std::string TraceFile::RowName(uint32_t row, absl::string_view name) const {
  return absl::StrCat(R"({"ph":"M","name":"thread_name","pid":)", process_, R"(,"tid":)", row, R"(,"args":{"name":)",
                      Quoted(name), "}},\n");
}

std::string TraceFile::LineOf(const Span& span) const {
  std::string arguments;
  const auto add = [&arguments](absl::string_view name, uint64_t value) {
    if (value != SpanDetails::kUnknown)
      absl::StrAppend(&arguments, arguments.empty() ? "" : ",", "\"", name, "\":", value);
  };
  add("step", span.details.step);
  add("micro_batch", span.details.micro_batch);
  add("bytes", span.details.bytes);
  return absl::StrFormat(R"({"ph":"X","name":"%s","pid":%u,"tid":%u,"ts":%.3f,"dur":%.3f,"args":{%s}},)"
                         "\n",
                         span.name, process_, span.row, Microseconds(span.begin - MonotonicTime()),
                         Microseconds(span.end - span.begin), arguments);
}

absl::Status TraceFile::Append(absl::string_view lines) {
  RETURN_IF_ERROR(file_->Append(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(lines.data()), lines.size())));
  bytes_ += lines.size();
  return absl::OkStatus();
}

absl::Status TraceFile::Close(uint64_t missing) {
  const std::string what = absl::StrCat("process ", getpid(), " on ", HostName(), "; ", missing, " spans are missing");
  RETURN_IF_ERROR(Append(absl::StrCat(R"({"ph":"M","name":"process_labels","pid":)", process_, R"(,"args":{"labels":)",
                                      Quoted(what), "}}\n]\n")));
  return file_->Close();
}

}  // namespace arcshard
