#include <zip.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/pickle/torch_storages.h"

namespace arcshard {
namespace {

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;

constexpr absl::string_view kPickleName = "data.pkl";

// Finds an entry. PyTorch stores all entries uncompressed, so that they can be mapped into memory; and no entry can be
// larger than the file.
absl::StatusOr<zip_stat_t> StatStored(zip_t* archive, const std::string& path, const std::string& name,
                                      uint64_t file_bytes) {
  zip_stat_t info;
  if (zip_stat(archive, name.c_str(), 0, &info) != 0) {
    return absl::DataLossError(absl::StrCat(path, ": the archive has no \"", name, "\""));
  }
  constexpr zip_uint64_t kNeeded = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
  if ((info.valid & kNeeded) != kNeeded || info.comp_method != ZIP_CM_STORE || info.size > file_bytes) {
    return absl::DataLossError(
        absl::StrCat(path, ": \"", name,
                     "\" is compressed or larger than the file, which PyTorch never writes; unpack the archive and "
                     "pack it without compression (zip -0 -r)"));
  }
  return info;
}

class ZipStorages final : public TorchStorages {
 public:
  ZipStorages(std::string path, uint64_t file_bytes, Archive archive, std::string folder)
      : path_(std::move(path)), file_bytes_(file_bytes), archive_(std::move(archive)), folder_(std::move(folder)) {}

  absl::StatusOr<uint64_t> Size(const std::string& key) override {
    ASSIGN_OR_RETURN(const zip_stat_t info, Stat(key));
    return info.size;
  }

  absl::Status Read(const std::string& key, uint64_t offset, absl::Span<std::byte> out) override {
    if (entry_ == nullptr || key_ != key || at_ > offset) RETURN_IF_ERROR(OpenEntry(key));
    if (offset > size_ || out.size() > size_ - offset) {
      return absl::DataLossError(
          absl::StrCat(path_, ": storage ", key, " ends at byte ", size_, ", not at ", offset + out.size()));
    }
    if (at_ != offset && zip_fseek(entry_.get(), static_cast<zip_int64_t>(offset), SEEK_SET) != 0) return Failed();
    at_ = offset;
    if (out.empty()) return absl::OkStatus();
    const zip_int64_t got = zip_fread(entry_.get(), out.data(), out.size());
    if (got < 0 || static_cast<uint64_t>(got) != out.size()) return Failed();
    at_ += out.size();
    // If libzip has read every byte of the entry, it compares the checksum in the read that finds the end.
    std::byte beyond;
    if (at_ == size_ && zip_fread(entry_.get(), &beyond, 1) < 0) return Failed();
    return absl::OkStatus();
  }

  // Reads the pickle of the objects.
  absl::StatusOr<std::string> ReadPickle() {
    const std::string name = absl::StrCat(folder_, kPickleName);
    ASSIGN_OR_RETURN(const zip_stat_t info, StatStored(archive_.get(), path_, name, file_bytes_));
    return ReadEntry(info, name, info.size);
  }

  // Before PyTorch 2.1 there was no such entry; files had the machine's byte order.
  absl::Status CheckByteOrder() {
    const std::string name = absl::StrCat(folder_, "byteorder");
    if (zip_name_locate(archive_.get(), name.c_str(), 0) < 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(const zip_stat_t info, StatStored(archive_.get(), path_, name, file_bytes_));
    ASSIGN_OR_RETURN(const std::string order, ReadEntry(info, name, std::min<uint64_t>(info.size, 16)));
    if (order == "little") return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(path_, ": was written on a machine that is not little-endian"));
  }

 private:
  absl::StatusOr<zip_stat_t> Stat(const std::string& key) {
    return StatStored(archive_.get(), path_, absl::StrCat(folder_, "data/", key), file_bytes_);
  }
  absl::StatusOr<std::string> ReadEntry(const zip_stat_t& info, const std::string& name, uint64_t bytes) {
    std::string text(bytes, '\0');
    RETURN_IF_ERROR(OpenIndex(info, name));
    RETURN_IF_ERROR(Read(name, 0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
    entry_.reset();
    return text;
  }
  absl::Status OpenEntry(const std::string& key) {
    ASSIGN_OR_RETURN(const zip_stat_t info, Stat(key));
    return OpenIndex(info, key);
  }
  absl::Status OpenIndex(const zip_stat_t& info, const std::string& key) {
    entry_.reset(zip_fopen_index(archive_.get(), info.index, 0));
    if (entry_ == nullptr) {
      return absl::DataLossError(absl::StrCat(path_, ": cannot read ", key, ": ", zip_strerror(archive_.get())));
    }
    key_ = key;
    size_ = info.size;
    at_ = 0;
    return absl::OkStatus();
  }
  absl::Status Failed() {
    const absl::Status status = absl::DataLossError(
        absl::StrCat(path_, ": storage ", key_, " cannot be read: ", zip_file_strerror(entry_.get())));
    entry_.reset();
    return status;
  }

  const std::string path_;
  const uint64_t file_bytes_;
  const Archive archive_;
  const std::string folder_;  // inside the archive, "archive/"

  // The entry that is being read.
  std::unique_ptr<zip_file_t, CloseEntry> entry_;
  std::string key_;
  uint64_t size_ = 0, at_ = 0;
};

}  // namespace

absl::StatusOr<TorchContents> OpenTorchArchive(const std::string& path) {
  ASSIGN_OR_RETURN(const ReadableFile file, ReadableFile::Open(path));  // reports why the file cannot be opened
  int error = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &error));
  if (archive == nullptr) {
    zip_error_t reason;
    zip_error_init_with_code(&reason, error);
    const std::string message = absl::StrCat(path, ": ", zip_error_strerror(&reason));
    zip_error_fini(&reason);
    return error == ZIP_ER_NOZIP ? absl::FailedPreconditionError(message) : absl::DataLossError(message);
  }
  std::string folder;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
    const char* name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr || !absl::EndsWith(name, absl::StrCat("/", kPickleName))) continue;
    folder = std::string(absl::StripSuffix(name, kPickleName));
    break;
  }
  if (folder.empty()) return absl::DataLossError(absl::StrCat(path, ": a zip archive without a data.pkl of PyTorch"));

  if (zip_name_locate(archive.get(), absl::StrCat(folder, "constants.pkl").c_str(), 0) >= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is TorchScript (torch.jit.save), a program; save the state_dict with torch.save"));
  }

  auto storages = std::make_unique<ZipStorages>(path, file.size(), std::move(archive), std::move(folder));
  RETURN_IF_ERROR(storages->CheckByteOrder());
  ASSIGN_OR_RETURN(std::string pickle, storages->ReadPickle());
  absl::StatusOr<std::unique_ptr<PickleDocument>> document = PickleDocument::Parse(std::move(pickle), std::nullopt);
  if (!document.ok()) return Annotate(document.status(), path);
  return TorchContents{*std::move(document), std::move(storages)};
}

}  // namespace arcshard
