#include "worker/data/dataset_files.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "common/io/output_file.h"

namespace arcshard::worker {

bool DatasetReadsFile(const Dataset& dataset, const std::string& file) {
  const std::string path = dataset.path();
  if (IsSameFile(file, path)) return true;
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  if (is_folder || absl::EndsWith(path, ".rec")) {
    const std::string folder = is_folder ? path : FolderOf(path);
    for (const char* name : {"train.rec", "train.idx", "property"}) {
      if (IsSameFile(file, absl::StrCat(folder, "/", name))) return true;
    }
  }
  // The file may be reached through a link, but an output is not given the name of an image by accident.
  const std::string name = std::filesystem::path(file).filename().string();
  for (int64_t i = 0; i < dataset.samples(); ++i) {
    const std::string sample = dataset.NameOf(i);
    if (absl::EndsWith(sample, name) && IsSameFile(file, sample)) return true;
  }
  return false;
}

absl::Status CheckOutsideOf(const Dataset& dataset, const std::string& out) {
  std::error_code error;
  const std::string path = dataset.path();
  if (!std::filesystem::is_directory(path, error) || !IsWithin(out, path)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      IsSameFile(out, path)
          ? absl::StrCat(out, " is the folder of the images that are read: name another")
          : absl::StrCat(out, " lies in ", path, ", the folder of the images that are read: name another"));
}

}  // namespace arcshard::worker
