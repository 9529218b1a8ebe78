#include "common/pickle/torch_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/bfloat16.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_number.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kBlock = 4096;  // values that are converted together
constexpr size_t kMaxDims = 64;   // PyTorch's limit

absl::string_view Callee(const PickleValue& object) { return object.items[0]->text; }

// Dicts of Python's own library. Those of other classes are known by their entries.
constexpr absl::string_view kDicts[] = {"collections OrderedDict", "collections defaultdict", "collections Counter"};

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

float ToFloat(TensorDtype dtype, const std::byte* bytes) {
  switch (dtype) {
    case TensorDtype::kF64:
      return static_cast<float>(Load<double>(bytes));
    case TensorDtype::kF16:
      return HalfToFloat(Load<uint16_t>(bytes));
    case TensorDtype::kBF16:
      return Widen(Load<Bfloat16>(bytes));
    default:
      return Load<float>(bytes);
  }
}

// nullopt: it has a fraction, or does not fit.
std::optional<int64_t> ToInteger(TensorDtype dtype, const std::byte* bytes) {
  switch (dtype) {
    case TensorDtype::kI64:
    case TensorDtype::kU64: {
      const int64_t integer = Load<int64_t>(bytes);
      return dtype == TensorDtype::kU64 && integer < 0 ? std::nullopt : std::optional(integer);
    }
    case TensorDtype::kI32:
      return Load<int32_t>(bytes);
    case TensorDtype::kU32:
      return Load<uint32_t>(bytes);
    case TensorDtype::kI16:
      return Load<int16_t>(bytes);
    case TensorDtype::kU16:
      return Load<uint16_t>(bytes);
    case TensorDtype::kI8:
      return Load<int8_t>(bytes);
    case TensorDtype::kU8:
    case TensorDtype::kBool:
      return Load<uint8_t>(bytes);
    default:
      break;
  }
  const double real = dtype == TensorDtype::kF64 ? Load<double>(bytes) : ToFloat(dtype, bytes);
  if (!(std::abs(real) <= 0x1p53) || real != std::trunc(real)) return std::nullopt;
  return static_cast<int64_t>(real);
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

std::vector<TorchFile::Entry> TorchFile::Entries(const PickleValue& dict) {
  if (!dict.entries.empty() || dict.kind != Kind::kObject || Callee(dict) != kDicts[0]) return dict.entries;
  // Python 2 gives an OrderedDict its entries as a list of [key, value].
  const std::vector<const PickleValue*>& arguments = dict.items[1]->items;
  std::vector<Entry> entries;
  if (arguments.size() != 1 || arguments[0]->kind != Kind::kList) return entries;
  for (const PickleValue* pair : arguments[0]->items) {
    const bool is_pair = (pair->kind == Kind::kList || pair->kind == Kind::kTuple) && pair->items.size() == 2;
    if (is_pair) entries.emplace_back(pair->items[0], pair->items[1]);
  }
  return entries;
}

const PickleValue* TorchFile::Find(const PickleValue& dict, absl::string_view key) {
  std::vector<Entry> of_python2;
  if (dict.entries.empty()) of_python2 = Entries(dict);
  const std::vector<Entry>& entries = dict.entries.empty() ? of_python2 : dict.entries;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (IsText(*entry->first) && entry->first->text == key) return entry->second;
  }
  return nullptr;
}

bool TorchFile::IsText(const PickleValue& value) { return value.kind == Kind::kText || value.kind == Kind::kBytes; }

bool TorchFile::IsDict(const PickleValue& value) {
  if (value.kind != Kind::kObject) return value.kind == Kind::kDict;
  return !value.entries.empty() || std::find(std::begin(kDicts), std::end(kDicts), Callee(value)) != std::end(kDicts);
}

bool TorchFile::IsTensor(const PickleValue& value) { return FindTorchTensorCall(value).has_value(); }

absl::StatusOr<int64_t> TorchFile::Integer(const PickleValue& value, absl::string_view what) const {
  if (const std::optional<int64_t> integer = PickleInteger(value)) return *integer;
  if (!IsTensor(value)) return Refuse(what, " is ", DescribePickleValue(value), ", not a number without a fraction");
  ASSIGN_OR_RETURN(const TorchTensor tensor, Tensor(value, what));
  if (tensor.elements() != 1) return Refuse(what, " is a tensor of ", tensor.elements(), " values, not a number");
  int64_t integer = 0;
  RETURN_IF_ERROR(ReadIntegers(tensor, 0, absl::MakeSpan(&integer, 1)));
  return integer;
}

absl::StatusOr<TorchTensor> TorchFile::Tensor(const PickleValue& value, absl::string_view what) const {
  const std::optional<TorchTensorCall> call = FindTorchTensorCall(value);
  if (!call.has_value()) return Refuse(what, " is ", DescribePickleValue(value), ", not a tensor");
  // The arguments are (storage, offset, shape, strides, ...).
  const std::vector<const PickleValue*>& arguments = call->arguments;
  if (arguments.size() < 4 || arguments[1]->kind != Kind::kInt || arguments[1]->integer < 0) {
    return Refuse(what, " is no tensor such as PyTorch writes");
  }
  const absl::StatusOr<TorchStorageId> storage = ParseTorchStorageId(*arguments[0]);
  if (!storage.ok()) return Refuse("what ", what, " lies in is ", storage.status().message());
  if (storage->is_view) return Refuse(what, " lies in a view of another storage, as PyTorch wrote before 0.4");
  const bool names_dtype = call->dtype().has_value() && storage->element_bytes == 1;
  const std::optional<TensorDtype> dtype = names_dtype ? call->dtype() : storage->dtype;
  if (!dtype.has_value()) {
    return Refuse(what, " is of a type that is not read here, in a storage of ", absl::CHexEscape(storage->type));
  }
  const auto shape = Integers(*arguments[2]), strides = Integers(*arguments[3]);
  if (!shape || !strides || shape->size() != strides->size()) {
    return Refuse(what, " has no shape and strides such as PyTorch writes");
  }
  TorchTensor tensor{*dtype, *shape, *strides, storage->key, arguments[1]->integer};
  RETURN_IF_ERROR(CheckBounds(
      tensor, names_dtype ? storage->elements / static_cast<int64_t>(DtypeSize(*dtype)) : storage->elements, what));
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

template <typename Convert>
absl::Status TorchFile::ReadBlocks(const TorchTensor& tensor, int64_t begin, size_t count,
                                   const Convert& convert) const {
  const size_t width = DtypeSize(tensor.dtype);
  std::vector<std::byte> block(kBlock * width);
  for (size_t done = 0; done < count;) {
    const size_t size = std::min<size_t>(kBlock, count - done);
    RETURN_IF_ERROR(ReadBytes(tensor, begin + static_cast<int64_t>(done), absl::MakeSpan(block).first(size * width)));
    for (size_t i = 0; i < size; ++i) {
      if (!convert(block.data() + i * width, done + i)) {
        return Refuse("a tensor of ", DtypeName(tensor.dtype), " has values that are no integers of 64 bits");
      }
    }
    done += size;
  }
  return absl::OkStatus();
}

absl::Status TorchFile::ReadFloats(const TorchTensor& tensor, int64_t begin, absl::Span<float> out) const {
  if (tensor.dtype == TensorDtype::kF8E4M3 || tensor.dtype == TensorDtype::kF8E5M2) {
    return Refuse("a tensor of ", DtypeName(tensor.dtype),
                  ", whose 2 or 3 bits of fraction are too few to go on from; save it in float32, float16 or bfloat16");
  }
  if (!IsFloatingPoint(tensor.dtype))
    return Refuse("a tensor of ", DtypeName(tensor.dtype), " where floats are expected");
  if (tensor.dtype == TensorDtype::kF32) {
    return ReadBytes(tensor, begin,
                     absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size() * sizeof(float)));
  }
  return ReadBlocks(tensor, begin, out.size(), [&](const std::byte* bytes, size_t i) {
    out[i] = ToFloat(tensor.dtype, bytes);
    return true;
  });
}

absl::Status TorchFile::ReadIntegers(const TorchTensor& tensor, int64_t begin, absl::Span<int64_t> out) const {
  return ReadBlocks(tensor, begin, out.size(), [&](const std::byte* bytes, size_t i) {
    const std::optional<int64_t> integer = ToInteger(tensor.dtype, bytes);
    out[i] = integer.value_or(0);
    return integer.has_value();
  });
}

}  // namespace arcshard
