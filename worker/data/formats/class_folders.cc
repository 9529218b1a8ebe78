#include "worker/data/formats/class_folders.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/formats/image_folder.h"
#include "worker/data/images/image_format.h"

namespace arcshard::worker {

absl::StatusOr<ImageFiles> FindClassFolders(const std::string& folder, int64_t classes) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, FoldersIn(folder));
  const int64_t found = static_cast<int64_t>(names.size());
  if (classes != 0 && found > classes) {
    return absl::InvalidArgumentError(absl::StrCat(folder, " has ", found, " class folders, more than N = ", classes));
  }
  UnreadPictures unread;
  ASSIGN_OR_RETURN(const std::vector<std::string> beside, ImagesIn(folder));
  for (const std::string& image : beside) unread.beside.Add(absl::StrCat(folder, "/", image));
  ImageFiles files(folder, folder);
  files.set_classes(classes != 0 ? classes : found);
  for (int64_t label = 0; label < found; ++label) {
    ASSIGN_OR_RETURN(const std::vector<std::string> images, ImagesIn(absl::StrCat(folder, "/", names[label]), &unread));
    for (const std::string& image : images) files.Add(absl::StrCat(names[label], "/", image), label);
  }
  if (files.size() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(folder, found == 0 ? " has no folders" : " has no folder",
                                                   " with images (", ImageSuffixes(),
                                                   "): one folder per class is expected", unread.Hint()));
  }
  files.set_warnings(unread.Sentences());
  return files;
}

}  // namespace arcshard::worker
