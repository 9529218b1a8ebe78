#include "worker/data/formats/seed_folders.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "worker/data/formats/image_folder.h"
#include "worker/data/formats/property.h"
#include "worker/data/images/image_format.h"

namespace arcshard::worker {

std::string SeedFolderName(int64_t label) { return absl::StrFormat("%08d", label); }

int64_t SeedFolderLabel(absl::string_view name) {
  int64_t label;
  if (!std::all_of(name.begin(), name.end(), absl::ascii_isdigit) || !absl::SimpleAtoi(name, &label)) return -1;
  return SeedFolderName(label) == name ? label : -1;
}

absl::StatusOr<ImageFiles> FindSeedFolders(const std::string& folder, int64_t classes) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, FoldersIn(folder));
  if (classes == 0) {
    ASSIGN_OR_RETURN(classes, ReadProperty(absl::StrCat(folder, "/property")));
  }
  UnreadPictures unread;
  std::vector<std::pair<int64_t, absl::string_view>> labels;
  for (const std::string& name : names) {
    if (const int64_t label = SeedFolderLabel(name); label >= 0) {
      labels.emplace_back(label, name);
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> images, ImagesIn(absl::StrCat(folder, "/", name)));
    for (const std::string& image : images) unread.elsewhere.Add(absl::StrCat(folder, "/", name, "/", image));
  }
  std::sort(labels.begin(),
            labels.end());  // names of labels from 10^8 on are longer, so the names are not in this order
  ImageFiles files(folder, folder);
  files.set_classes(classes);
  for (const auto& [label, name] : labels) {
    if (label >= classes) {
      return absl::InvalidArgumentError(absl::StrCat("folder ", name, " of ", folder, " is beyond N = ", classes,
                                                     " classes: folders are ", SeedFolderName(0), " to ",
                                                     SeedFolderName(classes - 1)));
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> images, ImagesIn(absl::StrCat(folder, "/", name), &unread));
    for (const std::string& image : images) files.Add(absl::StrCat(name, "/", image), label);
  }
  if (files.size() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(folder, " has no folders such as ", SeedFolderName(0),
                                                   " with images (", ImageSuffixes(), ")", unread.Hint()));
  }
  files.set_warnings(unread.Sentences());
  return files;
}

}  // namespace arcshard::worker
