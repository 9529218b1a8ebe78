#include "worker/data/open_dataset.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/formats/class_folders.h"
#include "worker/data/formats/image_files_dataset.h"
#include "worker/data/formats/image_folder.h"
#include "worker/data/formats/image_list.h"
#include "worker/data/formats/seed_folders.h"
#include "worker/data/formats/synthetic_dataset.h"
#include "worker/data/images/image_format.h"
#include "worker/data/recordio/record_dataset.h"

namespace arcshard::worker {
namespace {

using Format = DatasetFormat;

constexpr size_t kFoldersToSuggest = 100;  // so many are searched for what the user may have meant

struct NamedFormat {
  Format format;
  absl::string_view name;
};
constexpr NamedFormat kFormats[] = {{Format::kAuto, "auto"}, {Format::kRecordIo, "recordio"},
                                    {Format::kSeed, "seed"}, {Format::kFolders, "folders"},
                                    {Format::kList, "list"}, {Format::kSynthetic, "synthetic"}};

bool IsFile(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

// The format of the training set that a folder is. `unread`: the pictures that were found where it is none.
absl::StatusOr<std::optional<Format>> FormatOfFolder(const std::string& path, UnreadPictures* unread) {
  if (IsFile(absl::StrCat(path, "/train.rec"))) return Format::kRecordIo;
  ASSIGN_OR_RETURN(const std::vector<std::string> folders, FoldersIn(path));
  if (IsFile(absl::StrCat(path, "/property")) &&
      std::any_of(folders.begin(), folders.end(), [](const std::string& name) { return SeedFolderLabel(name) >= 0; })) {
    return Format::kSeed;
  }
  for (const std::string& folder : folders) {
    ASSIGN_OR_RETURN(const std::vector<std::string> images, ImagesIn(absl::StrCat(path, "/", folder), unread));
    if (!images.empty()) return Format::kFolders;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> beside, ImagesIn(path));
  for (const std::string& image : beside) unread->beside.Add(absl::StrCat(path, "/", image));
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<EncodedDataset>> Open(absl::StatusOr<ImageFiles> files) {
  if (!files.ok()) return files.status();
  return std::make_unique<ImageFilesDataset>(*std::move(files));
}

}  // namespace

absl::StatusOr<DatasetFormat> ParseDatasetFormat(absl::string_view name) {
  for (const NamedFormat& known : kFormats) {
    if (known.name == name) return known.format;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is not a data format; they are auto, recordio, seed, folders, list and synthetic"));
}

absl::string_view ToString(DatasetFormat format) {
  return std::find_if(std::begin(kFormats), std::end(kFormats),
                      [format](const NamedFormat& known) { return known.format == format; })
      ->name;
}

absl::StatusOr<DatasetFormat> DetectFormat(const std::string& path) {
  if (IsFile(path)) return Format::kList;
  UnreadPictures unread;
  ASSIGN_OR_RETURN(const std::optional<Format> format, FormatOfFolder(path, &unread));
  if (format.has_value()) return *format;
  std::string inside;  // a folder within it that is a training set
  ASSIGN_OR_RETURN(const std::vector<std::string> folders, FoldersIn(path));
  for (size_t i = 0; i < std::min(folders.size(), kFoldersToSuggest) && inside.empty(); ++i) {
    UnreadPictures ignored;
    const std::string folder = absl::StrCat(path, "/", folders[i]);
    const absl::StatusOr<std::optional<Format>> its = FormatOfFolder(folder, &ignored);
    if (its.ok() && its->has_value()) inside = absl::StrCat("; did you mean ", folder, "?");
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, " holds no training set: neither train.rec (recordio), nor property and folders such as ",
                   SeedFolderName(0), " (seed), nor a folder with ", ImageSuffixes(),
                   " images for each class (folders)", inside.empty() ? unread.Hint() : inside));
}

DatasetOptions DatasetOptionsOf(const RunConfig& config) {
  return {.path = config.data.train,
          .format = config.data.format,
          .root = config.data.root,
          .classes = config.head.classes,
          .synthetic_samples = config.data.synthetic_samples,
          .seed = config.run.seed};
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const DatasetOptions& options) {
  ASSIGN_OR_RETURN(const Format format, ParseDatasetFormat(options.format));
  if (format != Format::kSynthetic) return OpenEncodedDataset(options);
  return SyntheticDataset::Create(options.synthetic_samples, options.classes, options.seed);
}

absl::StatusOr<std::unique_ptr<EncodedDataset>> OpenEncodedDataset(const DatasetOptions& options) {
  if (options.classes < 0) {
    return absl::InvalidArgumentError(absl::StrCat("a data set can't have ", options.classes, " classes"));
  }
  ASSIGN_OR_RETURN(Format format, ParseDatasetFormat(options.format));
  if (format == Format::kAuto) {
    ASSIGN_OR_RETURN(format, DetectFormat(options.path));
  }
  if (!options.root.empty() && format != Format::kList) {
    return absl::InvalidArgumentError(absl::StrCat("a root (", options.root, ") is only for the paths of a list, but ",
                                                   options.path, " is not a list; its format is ", ToString(format)));
  }
  switch (format) {
    case Format::kRecordIo:
      return RecordDataset::Open(options.path, options.classes);
    case Format::kSeed:
      return Open(FindSeedFolders(options.path, options.classes));
    case Format::kFolders:
      return Open(FindClassFolders(options.path, options.classes));
    case Format::kList:
      return Open(ReadImageList(options.path, options.root, options.classes));
    case Format::kAuto:
    case Format::kSynthetic:
      break;
  }
  return absl::InvalidArgumentError("synthetic data has no files");
}

}  // namespace arcshard::worker
