#include "worker/inference/image_sources.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/output_file.h"
#include "worker/data/dataset_files.h"
#include "worker/data/formats/image_files_dataset.h"
#include "worker/data/formats/image_folder.h"
#include "worker/data/formats/verification_list.h"
#include "worker/data/open_dataset.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kNoLabel = -1;

class ImagesOfSet final : public NamedImages {
 public:
  explicit ImagesOfSet(const VerificationSet* set, std::unique_ptr<VerificationSet> owned = nullptr)
      : owned_(std::move(owned)), set_(set) {}

  int64_t images() const override { return set_->images(); }
  std::string path() const override { return set_->path(); }
  std::string NameOf(int64_t image) const override { return absl::StrCat("image ", image); }
  bool ReadsFile(const std::string& file) const override { return IsSameFile(file, set_->path()); }
  absl::StatusOr<LabeledImage> Read(int64_t image, int side, SampleBuffers* buffers) const override {
    LabeledImage read{.label = kNoLabel, .image = nullptr};
    if (absl::Status status = buffers->reader.Read(set_->image(image), side, &read.image); !status.ok()) {
      return Annotate(status, absl::StrCat(path(), ": ", NameOf(image)));
    }
    return read;
  }

 private:
  const std::unique_ptr<VerificationSet> owned_;
  const VerificationSet* const set_;
};

class ImagesOfDataset final : public NamedImages {
 public:
  // `folder`: names are relative to it.
  ImagesOfDataset(std::unique_ptr<Dataset> dataset, const std::string& folder)
      : dataset_(std::move(dataset)),
        prefix_(absl::StrCat(folder, "/")),
        suffix_(absl::StrCat(" of ", dataset_->path())) {}

  int64_t images() const override { return dataset_->samples(); }
  std::string path() const override { return dataset_->path(); }
  std::string NameOf(int64_t image) const override {
    const std::string name = dataset_->NameOf(image);
    return std::string(absl::StripSuffix(absl::StripPrefix(name, prefix_), suffix_));
  }
  bool ReadsFile(const std::string& file) const override { return DatasetReadsFile(*dataset_, file); }
  absl::StatusOr<LabeledImage> Read(int64_t image, int side, SampleBuffers* buffers) const override {
    return dataset_->Read(image, side, buffers);
  }
  std::vector<std::string> Warnings() const override { return dataset_->Warnings(); }

 private:
  const std::unique_ptr<Dataset> dataset_;
  const std::string prefix_, suffix_;
};

std::unique_ptr<NamedImages> Unlabeled(const std::string& path, const std::string& folder,
                                       const std::vector<std::string>& names,
                                       const UnreadPictures& unread = UnreadPictures()) {
  ImageFiles files(path, folder);
  files.set_warnings(unread.Sentences());
  for (const std::string& name : names) files.Add(name, kNoLabel);
  return std::make_unique<ImagesOfDataset>(std::make_unique<ImageFilesDataset>(std::move(files)), folder);
}

absl::StatusOr<std::unique_ptr<NamedImages>> OpenTrainingSet(const std::string& path, const std::string& folder) {
  ASSIGN_OR_RETURN(std::unique_ptr<EncodedDataset> dataset, OpenEncodedDataset({.path = path}));
  return std::make_unique<ImagesOfDataset>(std::move(dataset), folder);
}

}  // namespace

std::unique_ptr<NamedImages> ImagesOf(const VerificationSet& set) { return std::make_unique<ImagesOfSet>(&set); }

absl::StatusOr<std::unique_ptr<NamedImages>> OpenImages(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return absl::NotFoundError(absl::StrCat(path, ": there is no such file"));
  if (std::filesystem::is_directory(path, error)) {
    const absl::StatusOr<DatasetFormat> format = DetectFormat(path);
    if (!absl::IsInvalidArgument(format.status())) return OpenTrainingSet(path, path);
    UnreadPictures unread;
    ASSIGN_OR_RETURN(const std::vector<std::string> images, ImagesIn(path, &unread));
    if (!images.empty()) return Unlabeled(path, path, images, unread);
    return Annotate(format.status(), "nor are there images in it");
  }
  const std::string folder = FolderOf(path);
  if (absl::EndsWith(path, ".bin") || IsPairListWithTabs(path)) {
    ASSIGN_OR_RETURN(std::unique_ptr<VerificationSet> set, VerificationSet::Load(path));
    const VerificationSet* const images = set.get();
    return std::make_unique<ImagesOfSet>(images, std::move(set));
  }
  if (HasImageName(path)) return Unlabeled(path, folder, {std::filesystem::path(path).filename().string()});
  if (absl::EndsWith(path, "/train.rec") || path == "train.rec") return OpenTrainingSet(folder, folder);
  if (absl::EndsWith(path, ".rec")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": records are read as a folder's train.rec beside train.idx and property"));
  }
  return OpenTrainingSet(path, folder);  // a list
}

}  // namespace arcshard::worker
