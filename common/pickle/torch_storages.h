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

// What torch.save writes, apart from any meaning: a pickle of the objects, and the bytes of the storages that the
// pickle names by keys.
namespace arcshard {

// Of one file. Not thread-safe. Errors begin with the file's path.
class TorchStorages {
 public:
  virtual ~TorchStorages() = default;

  // Its bytes. DataLoss: a storage of that key is not there, or is not wholly in the file.
  virtual absl::StatusOr<uint64_t> Size(const std::string& key) = 0;

  // Fills `out` from byte `offset` of a storage. Fast where it goes on from the call before. DataLoss: that is past the
  // end; of an archive, read from beginning to end, also where the bytes are not those that were written.
  virtual absl::Status Read(const std::string& key, uint64_t offset, absl::Span<std::byte> out) = 0;
};

struct TorchContents {
  std::unique_ptr<PickleDocument> document;
  std::unique_ptr<TorchStorages> storages;
};

// PyTorch's format since 1.6. FailedPrecondition: the file is no zip archive. DataLoss: it is one, but is damaged, or
// PyTorch wrote none such. InvalidArgument: as of PickleDocument.
absl::StatusOr<TorchContents> OpenTorchArchive(const std::string& path);

// PyTorch's format before 1.6, pickles and storages one behind the other. FailedPrecondition: it does not begin like
// that. Else likewise.
absl::StatusOr<TorchContents> OpenTorchStream(const std::string& path);

// What the pickles of both may name.
absl::Span<const absl::string_view> TorchGlobals();

// What a persistent id of them says.
struct TorchStorageId {
  TensorDtype dtype = TensorDtype::kF32;
  std::string key;
  int64_t elements = 0;
};
// InvalidArgument: it is none of PyTorch's; the message reads on after "is ".
absl::StatusOr<TorchStorageId> ParseTorchStorageId(const PickleValue& value);

}  // namespace arcshard
