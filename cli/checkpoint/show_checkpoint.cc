#include "cli/checkpoint/show_checkpoint.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/text/printable_text.h"
#include "common/text/readable_number.h"

namespace arcshard::cli {
namespace {

std::string SizeText(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

uint64_t BytesOf(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const FileRecord& file : manifest.files) bytes += file.bytes;
  return bytes;
}

bool IsShardsFile(const FileRecord& file) { return absl::StartsWith(file.name, "class_centers-"); }

int64_t ShardsOf(const Manifest& manifest) {
  return std::count_if(manifest.files.begin(), manifest.files.end(), IsShardsFile);
}

// The classes of class_centers-<begin>-<end>.safetensors; empty for a file of another name.
std::string ClassesOf(absl::string_view name) {
  absl::string_view range = absl::StripSuffix(absl::StripPrefix(name, "class_centers-"), ".safetensors");
  const std::vector<std::string> ends = absl::StrSplit(range, '-');
  int64_t begin, end;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &begin) || !absl::SimpleAtoi(ends[1], &end) || begin >= end)
    return "";
  return absl::StrCat("classes ", begin, " to ", end - 1);
}

std::string Row(absl::string_view step, absl::string_view epoch, absl::string_view when, absl::string_view size,
                absl::string_view shards, absl::string_view state) {
  return absl::StrFormat("%10s  %7s  %-20s  %10s  %6s  %s\n", step, epoch, when, size, shards, state);
}

std::string RowOf(FileSystem* files, const std::string& folder, const CheckpointId& id) {
  const absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files, folder);
  if (!checkpoint.ok()) return Row(absl::StrCat(id.step), "", "", "", "", checkpoint.status().message());
  const Manifest& manifest = checkpoint->manifest();
  return Row(absl::StrCat(manifest.step), ReadableEpochs(manifest.epoch, manifest.epoch), manifest.created,
             SizeText(BytesOf(manifest)), absl::StrCat(ShardsOf(manifest)), "complete");
}

// A section of a run's YAML, for example `head:` and the lines that are indented below it.
std::string Section(absl::string_view yaml, absl::string_view name) {
  std::string text;
  bool inside = false;
  for (const absl::string_view line : absl::StrSplit(yaml, '\n')) {
    if (!line.empty() && !absl::ascii_isspace(static_cast<unsigned char>(line[0]))) {
      inside = absl::StartsWith(line, absl::StrCat(name, ":"));
    }
    if (inside && !absl::StripAsciiWhitespace(line).empty()) absl::StrAppend(&text, "  ", line, "\n");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ListOfCheckpoints(FileSystem* files, const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::vector<CheckpointId> ids, ListCheckpoints(files, run_folder));
  std::string text;
  std::set<std::string> listed;
  for (const CheckpointId& id : ids) {
    const std::string folder = CheckpointFolder(run_folder, id);
    listed.insert(folder);
    absl::StrAppend(&text, RowOf(files, folder, id));
  }
  absl::StatusOr<std::vector<FileSystem::Entry>> entries = files->List(CheckpointsOf(run_folder));
  if (!entries.ok() && !absl::IsNotFound(entries.status())) return entries.status();
  for (const FileSystem::Entry& entry : entries.ok() ? *entries : std::vector<FileSystem::Entry>()) {
    if (!entry.is_folder || listed.count(absl::StrCat(CheckpointsOf(run_folder), "/", entry.name)) > 0) continue;
    absl::StrAppend(&text, Row("", "", "", "", "",
                               absl::StrCat(PrintableLine(entry.name), ": ",
                                            absl::EndsWith(entry.name, ".damaged")
                                                ? "damaged, moved aside"
                                                : "no manifest: being written, or left behind")));
  }
  if (text.empty()) return absl::NotFoundError(absl::StrCat(run_folder, ": has no checkpoint"));
  return absl::StrCat(Row("step", "epoch", "when (UTC)", "size", "shards", "state"), text);
}

absl::StatusOr<std::string> CheckpointText(FileSystem* files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string folder, ResolveCheckpoint(files, path));
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, folder));
  const Manifest& manifest = checkpoint.manifest();
  std::string text = absl::StrCat(PrintableLine(folder), "\n");
  absl::StrAppendFormat(&text, "step        %d, epoch %s\n", manifest.step,
                        ReadableEpochs(manifest.epoch, manifest.epoch));
  absl::StrAppend(&text, "written     ", PrintableLine(manifest.created), ", by arcshard ",
                  PrintableLine(manifest.version), ", incarnation ", manifest.incarnation, "\n");
  absl::StrAppend(&text, "classes     ", manifest.num_classes, " × ", manifest.embedding_size, " dimensions, of ",
                  ShardsOf(manifest), " shards\n");
  if (manifest.data.samples > 0) {
    absl::StrAppendFormat(&text, "data        %d samples of %d classes, fingerprint %016x\n", manifest.data.samples,
                          manifest.data.classes, manifest.data.fingerprint);
  }
  if (manifest.skipped > 0) absl::StrAppend(&text, "skipped     ", manifest.skipped, " steps\n");
  if (manifest.corrupt_records > 0) absl::StrAppend(&text, "corrupt     ", manifest.corrupt_records, " records\n");
  if (manifest.best.step > 0) {
    absl::StrAppendFormat(&text, "best        accuracy %.5f at step %d\n", manifest.best.accuracy, manifest.best.step);
  }
  absl::StrAppend(&text, "files       ", SizeText(BytesOf(manifest)), "\n");
  for (const FileRecord& file : manifest.files) {
    absl::StrAppendFormat(&text, "  %-40s  %10s  crc32c %08x  %s\n", PrintableLine(file.name), SizeText(file.bytes),
                          file.crc32c, IsShardsFile(file) ? ClassesOf(file.name) : "");
  }
  if (manifest.config_yaml.empty()) return absl::StrCat(text, "configuration: none, it was imported\n");
  absl::StrAppend(&text, "configuration (the rest is in the run's config.yaml)\n");
  for (const char* section : {"backbone", "head", "loss", "optimizer"}) {
    absl::StrAppend(&text, Section(manifest.config_yaml, section));
  }
  return text;
}

absl::StatusOr<std::string> VerifyCheckpoint(FileSystem* files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string folder, ResolveCheckpoint(files, path));
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, folder));
  RETURN_IF_ERROR(checkpoint.Verify());
  return absl::StrCat(PrintableLine(folder), ": complete and intact, ", checkpoint.manifest().files.size(), " files, ",
                      SizeText(BytesOf(checkpoint.manifest())), "\n");
}

}  // namespace arcshard::cli
