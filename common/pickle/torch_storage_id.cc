#include <algorithm>
#include <iterator>
#include <utility>

#include "common/pickle/torch_storages.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

constexpr absl::string_view kTensorOfDtype = "torch._utils _rebuild_tensor_v3";

struct StorageType {
  absl::string_view global;
  size_t element_bytes;
  std::optional<TensorDtype> dtype;  // nullopt: its values are not read, but storages behind it are
};
constexpr StorageType kStorageTypes[] = {
    {"torch FloatStorage", 4, TensorDtype::kF32},
    {"torch HalfStorage", 2, TensorDtype::kF16},
    {"torch BFloat16Storage", 2, TensorDtype::kBF16},
    {"torch DoubleStorage", 8, TensorDtype::kF64},
    {"torch LongStorage", 8, TensorDtype::kI64},
    {"torch IntStorage", 4, TensorDtype::kI32},
    {"torch ShortStorage", 2, TensorDtype::kI16},
    {"torch CharStorage", 1, TensorDtype::kI8},
    {"torch ByteStorage", 1, TensorDtype::kU8},
    {"torch BoolStorage", 1, TensorDtype::kBool},
    {"torch ComplexFloatStorage", 8, std::nullopt},
    {"torch ComplexDoubleStorage", 16, std::nullopt},
    {"torch QInt8Storage", 1, std::nullopt},
    {"torch QUInt8Storage", 1, std::nullopt},
    {"torch QInt32Storage", 4, std::nullopt},
    {"torch QUInt4x2Storage", 1, std::nullopt},
    {"torch QUInt2x4Storage", 1, std::nullopt},
    {"torch UntypedStorage", 1, std::nullopt},  // the tensor names the type
    {"torch.storage UntypedStorage", 1, std::nullopt},
};

// The types of tensors whose storages have none.
constexpr std::pair<absl::string_view, TensorDtype> kUntyped[] = {{"torch float8_e4m3fn", TensorDtype::kF8E4M3},
                                                                  {"torch float8_e5m2", TensorDtype::kF8E5M2},
                                                                  {"torch uint16", TensorDtype::kU16},
                                                                  {"torch uint32", TensorDtype::kU32},
                                                                  {"torch uint64", TensorDtype::kU64}};

// Calls that take a tensor first, and return it as a parameter.
constexpr absl::string_view kParameterCalls[] = {"torch._utils _rebuild_parameter",
                                                 "torch._utils _rebuild_parameter_with_state",
                                                 "torch.nn.parameter Parameter", "torch.nn.parameter Buffer"};
// Calls that take a function, a class, the function's arguments and attributes.
constexpr absl::string_view kTypeCalls[] = {"torch._tensor _rebuild_from_type_v2", "torch._tensor _rebuild_from_type"};
constexpr absl::string_view kTensorCalls[] = {"torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2",
                                              kTensorOfDtype};

template <size_t kCount>
bool IsOneOf(absl::string_view name, const absl::string_view (&names)[kCount]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool IsText(const PickleValue& value) { return value.kind == Kind::kText || value.kind == Kind::kBytes; }  // Python 2's

absl::Status NoStorage() { return absl::InvalidArgumentError("not a storage such as PyTorch writes"); }

}  // namespace

absl::StatusOr<TorchStorageId> ParseTorchStorageId(const PickleValue& value) {
  if (value.kind != Kind::kPersistent || value.items[0]->kind != Kind::kTuple) return NoStorage();
  // ("storage", its type, key, device, elements), and before 1.6 the storage that it is a view of.
  const std::vector<const PickleValue*>& parts = value.items[0]->items;
  if (parts.size() < 5 || parts.size() > 6 || parts[0]->text != "storage" || parts[1]->kind != Kind::kGlobal ||
      !IsText(*parts[2]) || parts[4]->kind != Kind::kInt || parts[4]->integer < 0) {
    return NoStorage();
  }
  TorchStorageId id;
  id.type = parts[1]->text;
  id.key = std::string(parts[2]->text);
  id.elements = parts[4]->integer;
  id.is_view = parts.size() == 6 && parts[5]->kind != Kind::kNone;
  for (const StorageType& type : kStorageTypes) {
    if (type.global != id.type) continue;
    id.dtype = type.dtype;
    id.element_bytes = type.element_bytes;
  }
  return id;
}

absl::string_view TorchStorageTypeOf(TensorDtype dtype) {
  for (const StorageType& type : kStorageTypes) {
    if (type.dtype == dtype) return type.global;
  }
  return "";
}

std::optional<TensorDtype> TorchTensorCall::dtype() const {
  // (storage, offset, shape, strides, requires_grad, hooks, dtype, ...)
  if (function != kTensorOfDtype || arguments.size() < 7) return std::nullopt;
  for (const auto& [name, dtype] : kUntyped) {
    if (arguments[6]->text == name) return dtype;
  }
  return std::nullopt;
}

std::optional<TorchTensorCall> FindTorchTensorCall(const PickleValue& value) {
  const PickleValue* at = &value;
  for (int depth = 0; depth < 4; ++depth) {  // PyTorch nests no deeper, but values of a pickle may form circles
    if (at->kind != Kind::kObject) return std::nullopt;
    absl::string_view function = at->items[0]->text;
    const std::vector<const PickleValue*>* arguments = &at->items[1]->items;
    if (IsOneOf(function, kTypeCalls)) {
      if (arguments->size() < 3 || (*arguments)[0]->kind != Kind::kGlobal || (*arguments)[2]->kind != Kind::kTuple) {
        return std::nullopt;
      }
      function = (*arguments)[0]->text;
      arguments = &(*arguments)[2]->items;
    }
    if (IsOneOf(function, kTensorCalls)) return TorchTensorCall{function, *arguments};
    if (!IsOneOf(function, kParameterCalls) || arguments->empty()) return std::nullopt;
    at = arguments->front();
  }
  return std::nullopt;
}

}  // namespace arcshard
