#include "common/checkpoint/run_fence.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

constexpr char kViewKey[] = "view";      // "2.3"
constexpr uint64_t kLargestNumber = 64;  // bytes of RUN/incarnation

// The view in which the file was written; none: there is no such file, or it does not say.
std::optional<View> ViewOf(FileSystem* files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<ByteSource>> source = files->Open(path);
  if (!source.ok()) return std::nullopt;
  const absl::StatusOr<SafetensorsFile> file =
      SafetensorsFile::Open(std::shared_ptr<const ByteSource>(*std::move(source)));
  if (!file.ok()) return std::nullopt;
  const auto found = file->metadata().find(kViewKey);
  if (found == file->metadata().end()) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(found->second, absl::MaxSplits('.', 1));
  View view;
  if (!absl::SimpleAtoi(parts.first, &view.incarnation)) return std::nullopt;
  if (!absl::SimpleAtoi(parts.second, &view.counter)) return std::nullopt;
  return view;
}

}  // namespace

std::string IncarnationFileOf(const std::string& run_folder) { return absl::StrCat(run_folder, "/incarnation"); }

absl::StatusOr<uint64_t> ReadIncarnation(FileSystem* files, const std::string& run_folder) {
  const std::string path = IncarnationFileOf(run_folder);
  const absl::StatusOr<std::unique_ptr<ByteSource>> source = files->Open(path);
  if (absl::IsNotFound(source.status())) return 0;
  const absl::Status no_number = absl::DataLossError(
      absl::StrCat(path,
                   ": does not hold the number of this run's starts; restore it with a number above every earlier one, "
                   "or start in another run.folder"));
  if (absl::IsFailedPrecondition(source.status())) return no_number;  // it is no regular file
  RETURN_IF_ERROR(source.status());
  if ((*source)->size() > kLargestNumber) return no_number;
  std::string text((*source)->size(), '\0');
  RETURN_IF_ERROR((*source)->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number == std::numeric_limits<uint64_t>::max()) return no_number;
  return number;
}

absl::Status CheckIncarnation(FileSystem* files, const std::string& run_folder, const View& view) {
  ASSIGN_OR_RETURN(const uint64_t last, ReadIncarnation(files, run_folder));
  if (last <= view.incarnation) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(run_folder, ": is the coordinator's of incarnation ", last,
                                                    " now, and this process was in ", ToString(view)));
}

void NoteView(const View& view, SafetensorsMetadata* metadata) {
  (*metadata)[kViewKey] = absl::StrCat(view.incarnation, ".", view.counter);
}

absl::Status CheckReplaced(FileSystem* files, const std::string& path, const View& view) {
  const std::optional<View> there = ViewOf(files, path);
  if (!there.has_value() || *there <= view) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": was written in ", ToString(*there), ", and this process was in ", ToString(view)));
}

RunFence::RunFence(FileSystem* files, std::string run_folder, const View& view)
    : ForwardingFileSystem(files), files_(files), run_folder_(std::move(run_folder)), view_(view) {}

absl::Status RunFence::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(CheckIncarnation(files_, run_folder_, view_));
  RETURN_IF_ERROR(CheckReplaced(files_, to, view_));
  return files_->Rename(from, to);
}

}  // namespace arcshard
