#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "worker/data/dataset_files.h"
#include "worker/data/formats/property.h"
#include "worker/data/formats/seed_folders.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/tools/pack.h"

namespace arcshard::worker {
namespace {

// A folder that gets its name once it is complete and on the disk; otherwise it is removed. All of its files are synced
// to disk at once.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::string path)
      : path_(std::move(path)), temporary_(absl::StrCat(path_, ".tmp-", getpid())) {}
  ~AtomicFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(temporary_, ignored);
  }
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  absl::Status Create() const {
    std::error_code error;
    std::filesystem::remove_all(temporary_, error);  // left by a process with our pid that died
    return CreateFolders(temporary_);
  }

  absl::Status Write(const std::string& name, absl::string_view bytes) const {
    const std::string path = absl::StrCat(temporary_, "/", name);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    return file ? absl::OkStatus() : ErrnoStatus(errno, path, "cannot write");
  }

  absl::Status Commit() const {
    const FileDescriptor folder(open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return ErrnoStatus(errno, path_, "cannot sync to disk");
    if (syncfs(folder.get()) != 0) {
      if (errno == EIO || errno == ENOSPC || errno == EDQUOT) return ErrnoStatus(errno, path_, "cannot sync to disk");
      sync();  // the call is not known here: write back all file systems instead of this one
    }
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
      return ErrnoStatus(errno, path_, "cannot move the finished folder to its name");
    }
    return absl::OkStatus();
  }

  const std::string& temporary() const { return temporary_; }

 private:
  const std::string path_;
  const std::string temporary_;
};

}  // namespace

absl::StatusOr<PackReport> UnpackDataset(const EncodedDataset& dataset, const std::string& out,
                                         const UnpackOptions& options) {
  RETURN_IF_ERROR(CheckOutsideOf(dataset, out));
  std::string path = out;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::error_code error;
  if (std::filesystem::exists(path, error) &&
      !(std::filesystem::is_directory(path, error) && std::filesystem::is_empty(path, error))) {
    return absl::AlreadyExistsError(absl::StrCat(path, " already exists and is not an empty folder"));
  }
  const Survey survey = SurveyDataset(dataset, options.threads, options.progress);
  RETURN_IF_ERROR(CheckSound(survey, dataset.path(), "unpacked", options.skip_damaged));
  if (survey.images == 0) return absl::DataLossError(absl::StrCat(dataset.path(), " has no undamaged image"));

  PackReport report{
      .classes = dataset.classes(), .images = survey.images, .bytes = survey.bytes, .left_out = survey.damaged};
  std::tie(report.width, report.height) = MostFrequentSize(survey);
  report.mixed = survey.sizes.size() > 1;
  const AtomicFolder folder(path);
  RETURN_IF_ERROR(folder.Create());
  for (const ClassCount& of_class : survey.of_class) {
    RETURN_IF_ERROR(CreateFolders(absl::StrCat(folder.temporary(), "/", SeedFolderName(of_class.label))));
  }
  EncodedSample sample;
  for (int64_t i = 0; i < dataset.samples(); ++i) {
    if (options.progress != nullptr) options.progress("unpacked", i, dataset.samples());
    if (survey.labels[i] < 0) continue;
    RETURN_IF_ERROR(dataset.ReadEncoded(i, &sample));
    const char* suffix = IsPng(sample.image()) ? "png" : "jpg";
    RETURN_IF_ERROR(
        folder.Write(absl::StrFormat("%s/%08d.%s", SeedFolderName(sample.label), i, suffix), sample.image()));
  }
  RETURN_IF_ERROR(folder.Write("property", PropertyText(dataset.classes(), report.height, report.width)));
  RETURN_IF_ERROR(folder.Commit());
  return report;
}

}  // namespace arcshard::worker
