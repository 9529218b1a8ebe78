#include "worker/data/formats/unread_pictures.h"

#include "absl/strings/str_cat.h"

namespace arcshard::worker {
namespace {

std::string Sentence(const UnreadPictures::Group& group, const std::string& what, const std::string& why) {
  return absl::StrCat(group.count, group.count == 1 ? " file is" : " files are", " not read: ", what, ", such as ",
                      group.example, "; ", why);
}

}  // namespace

std::vector<std::string> UnreadPictures::Sentences() const {
  std::vector<std::string> sentences;
  for (const auto& [suffix, group] : formats) {
    sentences.push_back(Sentence(group, absl::StrCat("pictures .", suffix),
                                 "only JPEG and PNG are, so convert them, as with ImageMagick's mogrify -format png"));
  }
  if (deeper.count > 0) {
    sentences.push_back(Sentence(deeper, "images in folders within a class's folder",
                                 "the images of a class lie in its folder itself"));
  }
  if (beside.count > 0) {
    sentences.push_back(
        Sentence(beside, "images beside the folders of the classes", "each image lies in the folder of its class"));
  }
  if (elsewhere.count > 0) {
    sentences.push_back(Sentence(elsewhere, "images in folders that are no class",
                                 "the folders of the classes are named like 00000017"));
  }
  return sentences;
}

std::string UnreadPictures::Hint() const {
  std::string hint;
  for (const std::string& sentence : Sentences()) absl::StrAppend(&hint, "; ", sentence);
  return hint;
}

}  // namespace arcshard::worker
