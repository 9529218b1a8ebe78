#include "absl/strings/str_cat.h"
#include "common/pickle/torch_storages.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

struct StorageType {
  absl::string_view global;
  TensorDtype dtype;
};
constexpr StorageType kStorageTypes[] = {
    {"torch FloatStorage", TensorDtype::kF32},     {"torch HalfStorage", TensorDtype::kF16},
    {"torch BFloat16Storage", TensorDtype::kBF16}, {"torch DoubleStorage", TensorDtype::kF64},
    {"torch LongStorage", TensorDtype::kI64},      {"torch IntStorage", TensorDtype::kI32},
    {"torch ShortStorage", TensorDtype::kI16},     {"torch CharStorage", TensorDtype::kI8},
    {"torch ByteStorage", TensorDtype::kU8},       {"torch BoolStorage", TensorDtype::kBool},
};

constexpr absl::string_view kGlobals[] = {
    "collections OrderedDict",         "torch Size",
    "torch._utils _rebuild_tensor",    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter", kStorageTypes[0].global,
    kStorageTypes[1].global,           kStorageTypes[2].global,
    kStorageTypes[3].global,           kStorageTypes[4].global,
    kStorageTypes[5].global,           kStorageTypes[6].global,
    kStorageTypes[7].global,           kStorageTypes[8].global,
    kStorageTypes[9].global,
};

absl::Status NoStorage() { return absl::InvalidArgumentError("not a storage such as PyTorch writes"); }

}  // namespace

absl::Span<const absl::string_view> TorchGlobals() { return kGlobals; }

absl::StatusOr<TorchStorageId> ParseTorchStorageId(const PickleValue& value) {
  if (value.kind != Kind::kPersistent || value.items[0]->kind != Kind::kTuple) return NoStorage();
  // ("storage", its type, key, device, elements), and before 1.6 the storage that it is a view of.
  const std::vector<const PickleValue*>& parts = value.items[0]->items;
  if (parts.size() < 5 || parts.size() > 6 || parts[0]->text != "storage" || parts[1]->kind != Kind::kGlobal ||
      parts[2]->kind != Kind::kText || parts[4]->kind != Kind::kInt || parts[4]->integer < 0) {
    return NoStorage();
  }
  if (parts.size() == 6 && parts[5]->kind != Kind::kNone) {
    return absl::InvalidArgumentError("a view of another storage, as PyTorch wrote before 0.4");
  }
  for (const StorageType& type : kStorageTypes) {
    if (type.global == parts[1]->text) {
      return TorchStorageId{type.dtype, std::string(parts[2]->text), parts[4]->integer};
    }
  }
  return NoStorage();
}

}  // namespace arcshard
