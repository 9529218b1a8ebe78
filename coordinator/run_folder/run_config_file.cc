#include "coordinator/run_folder/run_config_file.h"

#include <cstddef>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::coordinator {
namespace {

bool Holds(FileSystem* files, const std::string& path, absl::string_view text) {
  const absl::StatusOr<std::unique_ptr<ByteSource>> file = files->Open(path);
  if (!file.ok() || (*file)->size() != text.size()) return false;
  std::string held(text.size(), '\0');
  const absl::Status read = (*file)->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(held.data()), held.size()));
  return read.ok() && held == text;
}

}  // namespace

absl::Status KeepRunConfig(FileSystem* files, const std::string& run_folder, absl::string_view yaml) {
  const std::string path = absl::StrCat(run_folder, "/config.yaml");
  if (Holds(files, path, yaml)) return absl::OkStatus();
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, files));
  RETURN_IF_ERROR(file.Append(yaml));
  return file.Commit();
}

}  // namespace arcshard::coordinator
