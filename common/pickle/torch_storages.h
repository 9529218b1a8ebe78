#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/tensor_dtype.h"
#include "common/pickle/pickle_reader.h"

// The two parts of a file of torch.save, uninterpreted: a pickle of the objects, and the bytes of the storages, which
// the pickle refers to by keys.
namespace arcshard {

// The storages of one file. Not thread-safe. Errors begin with the file's path.
class TorchStorages {
 public:
  virtual ~TorchStorages() = default;

  // The storage's size in bytes. DataLoss: there is no storage with that key, or it passes the end of the file.
  virtual absl::StatusOr<uint64_t> Size(const std::string& key) = 0;

  // Fills `out`, beginning at byte `offset` of a storage. Fast if it continues where the last call ended. DataLoss: the
  // range passes the storage's end; or the storage of an archive was read from beginning to end, and its checksum is
  // wrong.
  virtual absl::Status Read(const std::string& key, uint64_t offset, absl::Span<std::byte> out) = 0;
};

struct TorchContents {
  std::unique_ptr<PickleDocument> document;
  std::unique_ptr<TorchStorages> storages;
};

// Opens a file in PyTorch's format since 1.6. FailedPrecondition: the file is not a zip archive. DataLoss: the archive
// is damaged, or PyTorch never writes such. InvalidArgument: as PickleDocument.
absl::StatusOr<TorchContents> OpenTorchArchive(const std::string& path);

// Opens a file in PyTorch's format before 1.6: pickles, then storages. FailedPrecondition: the file does not begin like
// that. Other errors are those of OpenTorchArchive.
absl::StatusOr<TorchContents> OpenTorchStream(const std::string& path);

// The globals that pickles of both formats may name.
absl::Span<const absl::string_view> TorchGlobals();

// A storage as a persistent id in those pickles describes it.
struct TorchStorageId {
  TensorDtype dtype = TensorDtype::kF32;
  std::string key;
  int64_t elements = 0;
};
// InvalidArgument: PyTorch does not write such an id. The message lacks its subject: it continues "... is ".
absl::StatusOr<TorchStorageId> ParseTorchStorageId(const PickleValue& value);

}  // namespace arcshard
