#include "common/pickle/pickle_values.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_text.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

// The names of Python 2 and 3, and of NumPy before and since 2.0.
constexpr std::array<absl::string_view, 13> kGlobals = {
    "_codecs encode",
    "__builtin__ bytes",
    "builtins bytes",
    "__builtin__ bytearray",
    "builtins bytearray",
    "numpy ndarray",
    "numpy dtype",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "numpy.core.numeric _frombuffer",
    "numpy._core.numeric _frombuffer",
};

// Kinds of NumPy's types, as ElementsOf takes them.
constexpr absl::string_view kBytes = "uiSV";
constexpr absl::string_view kNumbers = "biuf";
constexpr absl::string_view kObjects = "O";

absl::string_view Callee(const PickleValue& object) { return object.items[0]->text; }
const std::vector<const PickleValue*>& Arguments(const PickleValue& object) { return object.items[1]->items; }

absl::Status NotA(absl::string_view expected, const PickleValue& value) {
  return absl::InvalidArgumentError(absl::StrCat(PickleKindName(value.kind), ", not ", expected));
}

bool IsLatin1(const PickleValue& value) {
  return (value.kind == Kind::kText || value.kind == Kind::kBytes) &&
         (value.text == "latin1" || value.text == "latin-1");
}

// Checks that an array of `size` elements is a row or a column. shape: null for a scalar.
absl::Status CheckShape(const PickleValue* shape, size_t size) {
  if (shape == nullptr) {
    return size == 1 ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat("a scalar of ", size, " values"));
  }
  const auto is_one = [](const PickleValue* length) { return length->kind == Kind::kInt && length->integer == 1; };
  const auto is_size = [size](const PickleValue* length) {
    return length->kind == Kind::kInt && length->integer == static_cast<int64_t>(size);
  };
  const auto ones = std::count_if(shape->items.begin(), shape->items.end(), is_one);
  const auto dimensions = static_cast<std::ptrdiff_t>(shape->items.size());
  const bool fits =
      shape->kind == Kind::kTuple &&
      (size == 1 ? ones == dimensions
                 : ones == dimensions - 1 && std::any_of(shape->items.begin(), shape->items.end(), is_size));
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("an array of ", size, " values and another shape than a row's"));
}

}  // namespace

absl::Span<const absl::string_view> BytesAndArrayGlobals() { return kGlobals; }

absl::StatusOr<absl::string_view> PickleInterpreter::Latin1(const PickleValue& text) {
  if (const auto found = latin1_.find(&text); found != latin1_.end()) return found->second;
  absl::StatusOr<std::string> latin1 = Utf8ToLatin1(text.text);
  if (!latin1.ok()) return absl::InvalidArgumentError(absl::StrCat("bytes with ", latin1.status().message()));
  decoded_.push_back(*std::move(latin1));
  return latin1_[&text] = decoded_.back();
}

absl::StatusOr<absl::string_view> PickleInterpreter::PlainBytes(const PickleValue& value) {
  const PickleValue* inner = &value;
  for (int depth = 0; depth < 3; ++depth) {  // Python nests no deeper than bytearray(_codecs.encode(text, 'latin1'))
    if (inner->kind == Kind::kBytes) return inner->text;
    if (inner->kind != Kind::kObject) break;
    const auto& arguments = Arguments(*inner);
    const bool is_array = absl::EndsWith(Callee(*inner), " bytearray");
    const bool is_bytes = absl::EndsWith(Callee(*inner), " bytes");
    if (arguments.empty() && (is_array || is_bytes)) return absl::string_view();
    if (arguments.size() == 2 && arguments[0]->kind == Kind::kText && IsLatin1(*arguments[1]) &&
        (is_array || Callee(*inner) == "_codecs encode")) {
      return Latin1(*arguments[0]);
    }
    if (arguments.size() != 1 || !is_array) break;
    inner = arguments[0];
  }
  return NotA("bytes", value);
}

absl::Status PickleInterpreter::ReadType(const PickleValue& type, absl::string_view kinds, Elements* elements) const {
  const absl::Status other = absl::InvalidArgumentError("an array of another type");
  if (type.kind != Kind::kObject || Callee(type) != "numpy dtype" || Arguments(type).empty()) return other;
  const absl::string_view name = Arguments(type)[0]->text;  // the kind and the bytes of an element, such as "f8"
  if (name.empty() || !absl::StrContains(kinds, name[0]) || !absl::SimpleAtoi(name.substr(1), &elements->width)) {
    return other;
  }
  elements->kind = name[0];
  // The state, if there is one, begins with a version and the order of the bytes.
  const PickleValue* state = type.items.size() == 3 ? type.items[2] : nullptr;
  elements->big_endian =
      state != nullptr && state->kind == Kind::kTuple && state->items.size() >= 2 && state->items[1]->text == ">";
  return absl::OkStatus();
}

absl::StatusOr<PickleInterpreter::Elements> PickleInterpreter::ElementsOf(const PickleValue& value,
                                                                          absl::string_view kinds) {
  if (value.kind != Kind::kObject) return NotA("an array", value);
  const auto& arguments = Arguments(value);
  const PickleValue* type = nullptr;
  const PickleValue* data = nullptr;
  const PickleValue* shape = nullptr;
  if (absl::EndsWith(Callee(value), " _reconstruct")) {
    // The state: version, shape, type, whether the order is Fortran's, bytes or the list of objects.
    if (value.items.size() != 3 || value.items[2]->kind != Kind::kTuple || value.items[2]->items.size() != 5) {
      return absl::InvalidArgumentError("an array without its state");
    }
    const auto& state = value.items[2]->items;
    shape = state[1];
    type = state[2];
    data = state[4];
  } else if (absl::EndsWith(Callee(value), " _frombuffer") && arguments.size() == 4) {
    data = arguments[0];
    type = arguments[1];
    shape = arguments[2];
  } else if (absl::EndsWith(Callee(value), " scalar") && arguments.size() == 2) {
    type = arguments[0];
    data = arguments[1];
  } else {
    return absl::InvalidArgumentError("an object, neither bytes nor an array");
  }

  Elements elements;
  RETURN_IF_ERROR(ReadType(*type, kinds, &elements));
  if (elements.kind == 'O') {
    if (data->kind != Kind::kList) return NotA("a list of objects", *data);
    elements.objects = data->items;
    elements.size = data->items.size();
  } else {
    ASSIGN_OR_RETURN(elements.bytes, PlainBytes(*data));
    const size_t width = std::max<size_t>(1, elements.width);  // 0: an empty text
    if (elements.bytes.size() % width != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("an array of ", elements.bytes.size(), " bytes of ", width, " each"));
    }
    elements.size = elements.width == 0 ? 1 : elements.bytes.size() / width;
  }
  RETURN_IF_ERROR(CheckShape(shape, elements.size));
  return elements;
}

absl::StatusOr<bool> PickleInterpreter::Elements::BoolAt(size_t i) const {
  // 1.0 of 2, 4, 8 and 16 bytes, little-endian, and in the 10 bytes of the extended precision that x86 has.
  constexpr std::array<absl::string_view, 5> kOnes = {
      absl::string_view("\0\x3c", 2), absl::string_view("\0\0\x80\x3f", 4),
      absl::string_view("\0\0\0\0\0\0\xf0\x3f", 8), absl::string_view("\0\0\0\0\0\0\0\x80\xff\x3f", 10),
      absl::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\x3f", 16)};
  const auto is_float_one = [&](const std::string& value) {
    return std::find(kOnes.begin(), kOnes.end(), value) != kOnes.end();
  };
  std::string element(bytes.substr(i * width, width));
  if (element.empty()) return absl::InvalidArgumentError("an array of empty values");
  if (big_endian) std::reverse(element.begin(), element.end());
  const auto is_zero = [](char byte) { return byte == 0; };
  if (kind == 'f') {
    if (is_float_one(element)) return true;
    // Behind x86's 10 bytes, NumPy's longdouble has bytes of no meaning, up to 12 or 16.
    if (element.size() == 12 || element.size() == 16) element.resize(10);
    if (is_float_one(element)) return true;
    element.back() = static_cast<char>(element.back() & 0x7f);  // -0.0 is 0 too
  } else if (element[0] == 1 && std::all_of(element.begin() + 1, element.end(), is_zero)) {
    return true;
  }
  if (std::all_of(element.begin(), element.end(), is_zero)) return false;
  return absl::InvalidArgumentError(absl::StrCat("an array whose value ", i, " is neither 0 nor 1"));
}

absl::StatusOr<absl::string_view> PickleInterpreter::Bytes(const PickleValue& value) {
  if (absl::StatusOr<absl::string_view> plain = PlainBytes(value); plain.ok() || value.kind != Kind::kObject)
    return plain;
  ASSIGN_OR_RETURN(const Elements elements, ElementsOf(value, kBytes));
  const bool is_text = elements.kind == 'S' || elements.kind == 'V';
  if (is_text ? elements.size != 1 : elements.width != 1) {
    return absl::InvalidArgumentError("an array of another type");
  }
  return elements.bytes;
}

absl::StatusOr<bool> PickleInterpreter::Bool(const PickleValue& value) {
  if (value.kind == Kind::kBool || (value.kind == Kind::kInt && (value.integer == 0 || value.integer == 1))) {
    return value.integer == 1;
  }
  if (value.kind == Kind::kFloat && (value.real == 0.0 || value.real == 1.0)) return value.real == 1.0;
  if (value.kind != Kind::kObject) return NotA("a bool", value);
  ASSIGN_OR_RETURN(const Elements elements, ElementsOf(value, kNumbers));
  if (elements.size != 1) return absl::InvalidArgumentError(absl::StrCat("an array of ", elements.size, " values"));
  return elements.BoolAt(0);
}

absl::StatusOr<absl::Span<const PickleValue* const>> PickleInterpreter::Items(const PickleValue& value) {
  if (value.kind == Kind::kList || value.kind == Kind::kTuple) return absl::MakeConstSpan(value.items);
  if (value.kind != Kind::kObject) return NotA("a list", value);
  ASSIGN_OR_RETURN(const Elements elements, ElementsOf(value, kObjects));
  return elements.objects;
}

absl::StatusOr<std::vector<bool>> PickleInterpreter::Bools(const PickleValue& value) {
  std::vector<bool> flags;
  if (value.kind == Kind::kObject) {
    const absl::StatusOr<Elements> numbers = ElementsOf(value, kNumbers);
    if (!numbers.ok() && !Items(value).ok()) return numbers.status();
    for (size_t i = 0; numbers.ok() && i < numbers->size; ++i) {
      ASSIGN_OR_RETURN(const bool flag, numbers->BoolAt(i));
      flags.push_back(flag);
    }
    if (numbers.ok()) return flags;
  }
  ASSIGN_OR_RETURN(const auto items, Items(value));
  for (size_t i = 0; i < items.size(); ++i) {
    const absl::StatusOr<bool> flag = Bool(*items[i]);
    if (!flag.ok())
      return absl::InvalidArgumentError(absl::StrCat("a list whose value ", i, " is ", flag.status().message()));
    flags.push_back(*flag);
  }
  return flags;
}

}  // namespace arcshard
