#include "common/io/tensor_dtype.h"

#include <array>

namespace arcshard {
namespace {

struct Description {
  absl::string_view name;
  size_t size;
};

// Indexed by TensorDtype.
constexpr std::array<Description, 15> kDescriptions = {{{"BOOL", 1},
                                                        {"U8", 1},
                                                        {"I8", 1},
                                                        {"F8_E5M2", 1},
                                                        {"F8_E4M3", 1},
                                                        {"I16", 2},
                                                        {"U16", 2},
                                                        {"F16", 2},
                                                        {"BF16", 2},
                                                        {"I32", 4},
                                                        {"U32", 4},
                                                        {"F32", 4},
                                                        {"F64", 8},
                                                        {"I64", 8},
                                                        {"U64", 8}}};

}  // namespace

absl::string_view DtypeName(TensorDtype dtype) { return kDescriptions[static_cast<size_t>(dtype)].name; }

size_t DtypeSize(TensorDtype dtype) { return kDescriptions[static_cast<size_t>(dtype)].size; }

bool IsFloatingPoint(TensorDtype dtype) {
  switch (dtype) {
    case TensorDtype::kF32:
    case TensorDtype::kF64:
    case TensorDtype::kF16:
    case TensorDtype::kBF16:
    case TensorDtype::kF8E4M3:
    case TensorDtype::kF8E5M2:
      return true;
    default:
      return false;
  }
}

std::optional<TensorDtype> DtypeFromName(absl::string_view name) {
  for (size_t i = 0; i < kDescriptions.size(); ++i) {
    if (kDescriptions[i].name == name) return static_cast<TensorDtype>(i);
  }
  return std::nullopt;
}

}  // namespace arcshard
