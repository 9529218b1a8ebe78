#include "common/pickle/pickle_number.h"

#include <cmath>
#include <cstring>
#include <type_traits>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/pickle/pickle_values.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

std::optional<int64_t> Whole(double real) {
  constexpr double kEnd = 0x1p53;  // up to here a float64 holds every integer
  if (!(std::abs(real) <= kEnd) || real != std::trunc(real)) return std::nullopt;
  return static_cast<int64_t>(real);
}

template <typename T>
std::optional<int64_t> Load(absl::string_view bytes) {
  T value;
  if (bytes.size() != sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  if constexpr (std::is_floating_point_v<T>) {
    return Whole(static_cast<double>(value));
  } else {
    const int64_t integer = static_cast<int64_t>(value);
    if (std::is_unsigned_v<T> && integer < 0) return std::nullopt;
    return integer;
  }
}

struct Type {
  absl::string_view name;  // NumPy's, without the byte order
  std::optional<int64_t> (*load)(absl::string_view bytes);
};
constexpr Type kTypes[] = {{"i1", Load<int8_t>},   {"i2", Load<int16_t>},  {"i4", Load<int32_t>},
                           {"i8", Load<int64_t>},  {"u1", Load<uint8_t>},  {"u2", Load<uint16_t>},
                           {"u4", Load<uint32_t>}, {"u8", Load<uint64_t>}, {"f4", Load<float>},
                           {"f8", Load<double>}};

// numpy.dtype(name, ...) with a state that begins (version, byte order, ...)
const Type* TypeOf(const PickleValue& value) {
  if (value.kind != Kind::kObject || value.items[0]->text != "numpy dtype" || value.items[1]->items.empty()) {
    return nullptr;
  }
  if (value.items.size() == 3 && value.items[2]->items.size() > 1 && value.items[2]->items[1]->text == ">") {
    return nullptr;
  }
  for (const Type& type : kTypes) {
    if (type.name == value.items[1]->items[0]->text) return &type;
  }
  return nullptr;
}

}  // namespace

std::optional<int64_t> PickleInteger(const PickleValue& value) {
  if (value.kind == Kind::kInt) return value.integer;
  if (value.kind == Kind::kFloat) return Whole(value.real);
  if (value.kind != Kind::kObject || !absl::EndsWith(value.items[0]->text, ".multiarray scalar") ||
      value.items[1]->items.size() != 2) {
    return std::nullopt;
  }
  const Type* const type = TypeOf(*value.items[1]->items[0]);
  if (type == nullptr) return std::nullopt;
  PickleInterpreter interpreter;
  const absl::StatusOr<absl::string_view> bytes = interpreter.Bytes(*value.items[1]->items[1]);
  return bytes.ok() ? type->load(*bytes) : std::nullopt;
}

}  // namespace arcshard
