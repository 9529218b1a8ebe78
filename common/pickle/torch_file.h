#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/tensor_dtype.h"
#include "common/pickle/pickle_reader.h"
#include "common/pickle/torch_storages.h"

namespace arcshard {

// A tensor as a file of PyTorch describes it. It is known to lie within its storage.
struct TorchTensor {
  TensorDtype dtype = TensorDtype::kF32;
  std::vector<int64_t> shape, strides;  // in elements
  std::string storage;                  // key
  int64_t offset = 0;                   // position of its first element in the storage, in elements

  int64_t elements() const;
  bool contiguous() const;
};

// Reads a file of PyTorch's torch.save (since 1.6 a zip archive, before that a stream of pickles) without PyTorch and
// without executing anything. Tensors, parameters and dicts are understood. The file may hold anything else beside them
// (schedules, NumPy's arrays, objects of any class): that is parsed over, and refused only where it is asked for.
// Tensors are read in pieces, so a file may be larger than memory.
//
// Not thread-safe. Errors begin with the file's path. NotFound: no such file. DataLoss: it is damaged. InvalidArgument:
// it is not one of PyTorch's, or holds something else than the caller asks for; the message names what.
class TorchFile {
 public:
  static absl::StatusOr<std::unique_ptr<TorchFile>> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const PickleValue& root() const { return document_->root(); }

  using Entry = std::pair<const PickleValue*, const PickleValue*>;  // key, value
  // The entries of a dict, in their order. Empty: it has none, or `dict` is not a dict.
  static std::vector<Entry> Entries(const PickleValue& dict);
  // The value of a key in a dict. nullptr if the dict has no such key, or `dict` is not a dict.
  static const PickleValue* Find(const PickleValue& dict, absl::string_view key);
  static bool IsText(const PickleValue& value);    // a str of Python 2 or 3
  static bool IsDict(const PickleValue& value);    // or an OrderedDict, or an object of another class with entries
  static bool IsTensor(const PickleValue& value);  // or a parameter, whatever attributes it has

  // The value of an int, or of a float, a NumPy scalar or a tensor of one value, without a fraction. `what` names it in
  // messages. InvalidArgument: it is none of them.
  absl::StatusOr<int64_t> Integer(const PickleValue& value, absl::string_view what) const;

  // Describes the tensor `value`; `what` names it in messages. InvalidArgument: `value` is not a tensor, or has a type
  // that is not supported. DataLoss: it does not lie within its storage.
  absl::StatusOr<TorchTensor> Tensor(const PickleValue& value, absl::string_view what) const;

  // Reads elements in row-major order, beginning with number `begin`, in the tensor's own type. If the tensor is not
  // contiguous, its storage is kept in memory.
  absl::Status ReadBytes(const TorchTensor& tensor, int64_t begin, absl::Span<std::byte> out) const;
  // The same, converted to float32. InvalidArgument: integers, or floats of 8 bits.
  absl::Status ReadFloats(const TorchTensor& tensor, int64_t begin, absl::Span<float> out) const;
  // The same, converted to integers. InvalidArgument: a value has a fraction or does not fit.
  absl::Status ReadIntegers(const TorchTensor& tensor, int64_t begin, absl::Span<int64_t> out) const;

 private:
  TorchFile(std::string path, std::unique_ptr<PickleDocument> document, std::unique_ptr<TorchStorages> storages)
      : path_(std::move(path)), document_(std::move(document)), storages_(std::move(storages)) {}

  template <typename... What>
  absl::Status Refuse(const What&... what) const;
  // Calls convert(bytes of an element, its number from 0) for `count` elements, until it returns false.
  template <typename Convert>
  absl::Status ReadBlocks(const TorchTensor& tensor, int64_t begin, size_t count, const Convert& convert) const;
  absl::Status CheckBounds(const TorchTensor& tensor, int64_t storage_elements, absl::string_view what) const;
  absl::Status Gather(const TorchTensor& tensor, int64_t begin, absl::Span<std::byte> out) const;

  const std::string path_;
  const std::unique_ptr<const PickleDocument> document_;
  const std::unique_ptr<TorchStorages> storages_;
  mutable std::string held_;              // key of the storage in memory
  mutable std::vector<std::byte> bytes_;  // its bytes
};

}  // namespace arcshard
