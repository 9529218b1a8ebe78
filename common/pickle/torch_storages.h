#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

// A storage as a persistent id in those pickles describes it.
struct TorchStorageId {
  absl::string_view type;            // its class, as "module name"
  std::optional<TensorDtype> dtype;  // of its elements; nullopt: not one that is read here
  size_t element_bytes = 0;          // 0: unknown
  std::string key;
  int64_t elements = 0;
  bool is_view = false;  // of another storage, as PyTorch wrote before 0.4
};
// InvalidArgument: PyTorch does not write such an id of a storage. The message lacks its subject: it continues "... is
// ".
absl::StatusOr<TorchStorageId> ParseTorchStorageId(const PickleValue& value);

// The class of storages of this type, as "module name"; empty: none.
absl::string_view TorchStorageTypeOf(TensorDtype dtype);

// A call that makes a tensor, as PyTorch writes it. The calls around it, which make the tensor a parameter or give it
// attributes, do not change its values.
struct TorchTensorCall {
  absl::string_view function;  // "module name"
  const std::vector<const PickleValue*>& arguments;

  // The dtype that the call names; nullopt: it has that of its storage, or one that is not read here.
  std::optional<TensorDtype> dtype() const;
};
// nullopt: `value` is not a tensor that is read here.
std::optional<TorchTensorCall> FindTorchTensorCall(const PickleValue& value);

}  // namespace arcshard
