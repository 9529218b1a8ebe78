#include "common/pickle/pickle_values.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
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

constexpr absl::string_view kByteTypes[] = {"u1"};
constexpr absl::string_view kBoolTypes[] = {"b1", "u1"};

absl::string_view Callee(const PickleValue& object) { return object.items[0]->text; }
const std::vector<const PickleValue*>& Arguments(const PickleValue& object) { return object.items[1]->items; }

absl::Status NotA(absl::string_view expected, const PickleValue& value) {
  return absl::InvalidArgumentError(absl::StrCat(PickleKindName(value.kind), ", not ", expected));
}

bool IsLatin1(const PickleValue& value) {
  return (value.kind == Kind::kText || value.kind == Kind::kBytes) &&
         (value.text == "latin1" || value.text == "latin-1");
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

absl::StatusOr<absl::string_view> PickleInterpreter::Elements(const PickleValue& value,
                                                              absl::Span<const absl::string_view> types) {
  if (value.kind != Kind::kObject) return NotA("an array", value);
  const auto& arguments = Arguments(value);
  const PickleValue* type = nullptr;
  const PickleValue* data = nullptr;
  const PickleValue* shape = nullptr;
  if (absl::EndsWith(Callee(value), " _reconstruct")) {
    // The state: version, shape, type, whether the order is Fortran's, bytes.
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

  if (type->kind != Kind::kObject || Callee(*type) != "numpy dtype" || Arguments(*type).empty() ||
      std::find(types.begin(), types.end(), Arguments(*type)[0]->text) == types.end()) {
    return absl::InvalidArgumentError("an array of another type");
  }
  ASSIGN_OR_RETURN(const absl::string_view elements, PlainBytes(*data));
  const int64_t size = static_cast<int64_t>(elements.size());
  const bool fits = shape == nullptr ? size == 1
                                     : shape->kind == Kind::kTuple && shape->items.size() == 1 &&
                                           shape->items[0]->kind == Kind::kInt && shape->items[0]->integer == size;
  if (!fits) return absl::InvalidArgumentError(absl::StrCat("an array of ", size, " bytes and another shape"));
  return elements;
}

absl::StatusOr<absl::string_view> PickleInterpreter::Bytes(const PickleValue& value) {
  if (absl::StatusOr<absl::string_view> plain = PlainBytes(value); plain.ok() || value.kind != Kind::kObject)
    return plain;
  return Elements(value, kByteTypes);
}

absl::StatusOr<bool> PickleInterpreter::Bool(const PickleValue& value) {
  if (value.kind == Kind::kBool || (value.kind == Kind::kInt && (value.integer == 0 || value.integer == 1))) {
    return value.integer == 1;
  }
  if (value.kind != Kind::kObject) return NotA("a bool", value);
  ASSIGN_OR_RETURN(const absl::string_view element, Elements(value, kBoolTypes));
  if (element.size() != 1) return absl::InvalidArgumentError(absl::StrCat("an array of ", element.size(), " values"));
  return element[0] != 0;
}

absl::StatusOr<std::vector<bool>> PickleInterpreter::Bools(const PickleValue& value) {
  std::vector<bool> flags;
  if (value.kind == Kind::kObject) {
    ASSIGN_OR_RETURN(const absl::string_view elements, Elements(value, kBoolTypes));
    for (const char element : elements) flags.push_back(element != 0);
    return flags;
  }
  if (value.kind != Kind::kList && value.kind != Kind::kTuple) return NotA("a list", value);
  for (size_t i = 0; i < value.items.size(); ++i) {
    const absl::StatusOr<bool> flag = Bool(*value.items[i]);
    if (!flag.ok())
      return absl::InvalidArgumentError(absl::StrCat("a list whose value ", i, " is ", flag.status().message()));
    flags.push_back(*flag);
  }
  return flags;
}

}  // namespace arcshard
