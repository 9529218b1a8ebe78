#include "common/trace/merge_traces.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

constexpr uint64_t kPiece = 1 << 20;  // that is read at once

absl::Status Append(absl::string_view text, WritableFile* file) {
  return file->Append(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

// Appends the part's events to `to`, each after `*separator`, which is that between two events from then on.
absl::Status AppendEvents(const ByteSource& part, absl::string_view* separator, WritableFile* to) {
  std::string rest;  // of the pieces so far: a line that does not end yet
  for (uint64_t at = 0; at < part.size(); at += kPiece) {
    const size_t had = rest.size();
    rest.resize(had + std::min(kPiece, part.size() - at));
    RETURN_IF_ERROR(
        part.ReadAt(at, absl::MakeSpan(reinterpret_cast<std::byte*>(rest.data()) + had, rest.size() - had)));
    std::string events;
    size_t begin = 0;
    for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const absl::string_view line = absl::string_view(rest).substr(begin, end - begin);
      if (!absl::StartsWith(line, "{")) continue;
      absl::StrAppend(&events, *separator, absl::StripSuffix(line, ","));
      *separator = ",\n";
    }
    rest.erase(0, begin);
    RETURN_IF_ERROR(Append(events, to));
  }
  return absl::OkStatus();
}

absl::Status WriteMerged(const std::vector<std::string>& parts, const std::string& path, FileSystem* files) {
  ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> merged, files->Create(path));
  absl::string_view separator = "[\n";
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, files->Open(part));
    RETURN_IF_ERROR(AppendEvents(*source, &separator, merged.get()));
  }
  RETURN_IF_ERROR(Append(separator == "[\n" ? "[\n]\n" : "\n]\n", merged.get()));
  return merged->Close();
}

}  // namespace

absl::Status MergeTraces(const std::vector<std::string>& parts, const std::string& path, FileSystem* files) {
  const std::string unfinished = path + ".new";
  const absl::Status removed = files->Remove(unfinished);  // of a merge that was killed
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  absl::Status merged = WriteMerged(parts, unfinished, files);
  if (merged.ok()) merged = files->Rename(unfinished, path);
  if (!merged.ok()) {
    files->Remove(unfinished).IgnoreError();  // the disk may be full of it
    return merged;
  }
  for (const std::string& part : parts) files->Remove(part).IgnoreError();  // who removes their folder tells of it
  return absl::OkStatus();
}

}  // namespace arcshard
