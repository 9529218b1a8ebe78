#include "common/pickle/torch_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kBlock = 4096;  // values that are converted together
constexpr size_t kMaxDims = 64;   // PyTorch's limit

absl::string_view Callee(const PickleValue& object) { return object.items[0]->text; }

std::optional<std::vector<int64_t>> Integers(const PickleValue& value) {
  const PickleValue* tuple = &value;
  if (tuple->kind == Kind::kObject && Callee(*tuple) == "torch Size" && tuple->items[1]->items.size() == 1) {
    tuple = tuple->items[1]->items[0];
  }
  if ((tuple->kind != Kind::kTuple && tuple->kind != Kind::kList) || tuple->items.size() > kMaxDims)
    return std::nullopt;
  std::vector<int64_t> integers;
  for (const PickleValue* item : tuple->items) {
    if (item->kind != Kind::kInt || item->integer < 0) return std::nullopt;
    integers.push_back(item->integer);
  }
  return integers;
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 0x1f,
                 fraction = half & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero or subnormal
  return sign != 0 ? -magnitude : magnitude;
}

template <typename T>
T Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

bool IsFloating(TensorDtype dtype) {
  return dtype == TensorDtype::kF32 || dtype == TensorDtype::kF64 || dtype == TensorDtype::kF16 ||
         dtype == TensorDtype::kBF16;
}

float ToFloat(TensorDtype dtype, const std::byte* bytes) {
  switch (dtype) {
    case TensorDtype::kF64:
      return static_cast<float>(Load<double>(bytes));
    case TensorDtype::kF16:
      return HalfToFloat(Load<uint16_t>(bytes));
    case TensorDtype::kBF16:
      return std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(bytes)) << 16);
    default:
      return Load<float>(bytes);
  }
}

}  // namespace

int64_t TorchTensor::elements() const {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;  // even if the others' product overflows
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

bool TorchTensor::contiguous() const {
  if (elements() == 0) return true;
  int64_t expected = 1;
  for (size_t d = shape.size(); d-- > 0; expected *= shape[d]) {
    if (shape[d] != 1 && strides[d] != expected) return false;
  }
  return true;
}

template <typename... What>
absl::Status TorchFile::Refuse(const What&... what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", what...));
}

absl::StatusOr<std::unique_ptr<TorchFile>> TorchFile::Open(const std::string& path) {
  absl::StatusOr<TorchContents> contents = OpenTorchArchive(path);
  if (absl::IsFailedPrecondition(contents.status())) contents = OpenTorchStream(path);
  if (absl::IsFailedPrecondition(contents.status())) return absl::InvalidArgumentError(contents.status().message());
  if (!contents.ok()) return contents.status();
  return std::unique_ptr<TorchFile>(new TorchFile(path, std::move(contents->document), std::move(contents->storages)));
}

const PickleValue* TorchFile::Find(const PickleValue& dict, absl::string_view key) {
  for (auto entry = dict.entries.rbegin(); entry != dict.entries.rend(); ++entry) {
    if (entry->first->kind == Kind::kText && entry->first->text == key) return entry->second;
  }
  return nullptr;
}

bool TorchFile::IsDict(const PickleValue& value) {
  return value.kind == Kind::kDict || (value.kind == Kind::kObject && Callee(value) == "collections OrderedDict");
}

bool TorchFile::IsTensor(const PickleValue& value) {
  return value.kind == Kind::kObject &&
         (Callee(value) == "torch._utils _rebuild_tensor" || Callee(value) == "torch._utils _rebuild_tensor_v2" ||
          Callee(value) == "torch._utils _rebuild_parameter");
}

absl::StatusOr<TorchTensor> TorchFile::Tensor(const PickleValue& value, absl::string_view what) const {
  const PickleValue* tensor = &value;
  if (IsTensor(*tensor) && Callee(*tensor) == "torch._utils _rebuild_parameter") {
    if (tensor->items[1]->items.empty()) return Refuse(what, " is a parameter without a tensor");
    tensor = tensor->items[1]->items[0];
  }
  if (!IsTensor(*tensor)) return Refuse(what, " is ", PickleKindName(tensor->kind), ", not a tensor");
  return Rebuild(*tensor, what);
}

absl::StatusOr<TorchTensor> TorchFile::Rebuild(const PickleValue& object, absl::string_view what) const {
  // The arguments are (storage, offset, shape, strides, ...); the others do not matter here.
  const std::vector<const PickleValue*>& arguments = object.items[1]->items;
  if (arguments.size() < 4 || arguments[1]->kind != Kind::kInt || arguments[1]->integer < 0) {
    return Refuse(what, " is no tensor such as PyTorch writes");
  }
  const absl::StatusOr<TorchStorageId> storage = ParseTorchStorageId(*arguments[0]);
  if (!storage.ok()) return Refuse("what ", what, " lies in is ", storage.status().message());
  const auto shape = Integers(*arguments[2]), strides = Integers(*arguments[3]);
  if (!shape || !strides || shape->size() != strides->size()) {
    return Refuse(what, " has no shape and strides such as PyTorch writes");
  }
  TorchTensor tensor{storage->dtype, *shape, *strides, storage->key, arguments[1]->integer};
  RETURN_IF_ERROR(CheckBounds(tensor, storage->elements, what));
  return tensor;
}

absl::Status TorchFile::CheckBounds(const TorchTensor& tensor, int64_t storage_elements, absl::string_view what) const {
  ASSIGN_OR_RETURN(const uint64_t held, storages_->Size(tensor.storage));
  const int64_t fits =
      static_cast<int64_t>(std::min<uint64_t>(held / DtypeSize(tensor.dtype), std::numeric_limits<int64_t>::max()));
  const absl::Status beyond = absl::DataLossError(
      absl::StrCat(path_, ": ", what, " reaches beyond its storage ", tensor.storage, " of ", held, " bytes"));
  if (storage_elements > fits) return beyond;
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return absl::OkStatus();
  // Checks the last element, and the number of elements: more than the storage has would be a broadcast tensor, which
  // is never saved.
  int64_t last = tensor.offset, elements = 1, step;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    if (__builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &step) ||
        __builtin_add_overflow(last, step, &last) || __builtin_mul_overflow(elements, tensor.shape[d], &elements)) {
      return beyond;
    }
  }
  return last < storage_elements && elements <= storage_elements ? absl::OkStatus() : beyond;
}

absl::Status TorchFile::ReadBytes(const TorchTensor& tensor, int64_t begin, absl::Span<std::byte> out) const {
  const size_t width = DtypeSize(tensor.dtype);
  if (!tensor.contiguous()) return Gather(tensor, begin, out);
  return storages_->Read(tensor.storage, static_cast<uint64_t>(tensor.offset + begin) * width, out);
}

absl::Status TorchFile::Gather(const TorchTensor& tensor, int64_t begin, absl::Span<std::byte> out) const {
  if (held_ != tensor.storage || bytes_.empty()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, storages_->Size(tensor.storage));
    held_ = tensor.storage;
    bytes_.resize(bytes);
    if (absl::Status status = storages_->Read(held_, 0, absl::MakeSpan(bytes_)); !status.ok()) {
      bytes_.clear();
      return status;
    }
  }
  const size_t width = DtypeSize(tensor.dtype);
  for (size_t i = 0; i < out.size() / width; ++i) {
    int64_t rest = begin + static_cast<int64_t>(i), at = tensor.offset;
    for (size_t d = tensor.shape.size(); d-- > 0; rest /= tensor.shape[d]) {
      at += rest % tensor.shape[d] * tensor.strides[d];
    }
    std::memcpy(out.data() + i * width, bytes_.data() + static_cast<size_t>(at) * width, width);
  }
  return absl::OkStatus();
}

absl::Status TorchFile::ReadFloats(const TorchTensor& tensor, int64_t begin, absl::Span<float> out) const {
  if (!IsFloating(tensor.dtype)) return Refuse("a tensor of ", DtypeName(tensor.dtype), " where floats are expected");
  if (tensor.dtype == TensorDtype::kF32) {
    return ReadBytes(tensor, begin,
                     absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size() * sizeof(float)));
  }
  const size_t width = DtypeSize(tensor.dtype);
  std::vector<std::byte> block(kBlock * width);
  for (size_t done = 0; done < out.size();) {
    const size_t count = std::min<size_t>(kBlock, out.size() - done);
    RETURN_IF_ERROR(ReadBytes(tensor, begin + static_cast<int64_t>(done), absl::MakeSpan(block).first(count * width)));
    for (size_t i = 0; i < count; ++i) out[done + i] = ToFloat(tensor.dtype, block.data() + i * width);
    done += count;
  }
  return absl::OkStatus();
}

}  // namespace arcshard
