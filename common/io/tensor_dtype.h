#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace arcshard {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

// The element types of safetensors files. Values of those with a kDtypeOf can be read and written.
enum class TensorDtype {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64
};

absl::string_view DtypeName(TensorDtype dtype);                    // as files spell it, "F32"
size_t DtypeSize(TensorDtype dtype);                               // bytes of an element
bool IsFloatingPoint(TensorDtype dtype);                           // of any precision
std::optional<TensorDtype> DtypeFromName(absl::string_view name);  // nullopt: there is no such type

template <typename T>
inline constexpr TensorDtype kDtypeOf = [] {
  static_assert(sizeof(T) == 0, "no dtype for this C++ type");
  return TensorDtype::kU8;
}();
template <>
inline constexpr TensorDtype kDtypeOf<float> = TensorDtype::kF32;
template <>
inline constexpr TensorDtype kDtypeOf<double> = TensorDtype::kF64;
template <>
inline constexpr TensorDtype kDtypeOf<int32_t> = TensorDtype::kI32;
template <>
inline constexpr TensorDtype kDtypeOf<uint32_t> = TensorDtype::kU32;
template <>
inline constexpr TensorDtype kDtypeOf<int64_t> = TensorDtype::kI64;
template <>
inline constexpr TensorDtype kDtypeOf<uint8_t> = TensorDtype::kU8;

}  // namespace arcshard
