#include "cli/migrate/python_value.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard::cli {
namespace {

std::string DescribeReal(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, end.ptr);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string DescribeList(const PythonValue::List& list, size_t most) {
  std::string text = list.is_tuple ? "(" : "[";
  for (size_t i = 0; i < list.items.size() && text.size() <= most; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", Describe(list.items[i], most));
  }
  if (list.is_tuple && list.items.size() == 1) text += ",";
  return text + (list.is_tuple ? ")" : "]");
}

std::string DescribeDict(const PythonDict& dict, size_t most) {
  std::string text = "{";
  for (const auto& [key, value] : dict.items()) {
    if (text.size() > most) break;
    absl::StrAppend(&text, text.size() == 1 ? "" : ", ", "'", key, "': ", Describe(value, most));
  }
  return text + "}";
}

}  // namespace

PythonDict::PythonDict() = default;
PythonDict::PythonDict(const PythonDict&) = default;
PythonDict::PythonDict(PythonDict&&) noexcept = default;
PythonDict& PythonDict::operator=(const PythonDict&) = default;
PythonDict& PythonDict::operator=(PythonDict&&) noexcept = default;
PythonDict::~PythonDict() = default;

const PythonValue* PythonDict::Find(absl::string_view key) const {
  for (const auto& [name, value] : items_) {
    if (name == key) return &value;
  }
  return nullptr;
}

PythonValue* PythonDict::Find(absl::string_view key) {
  return const_cast<PythonValue*>(static_cast<const PythonDict*>(this)->Find(key));
}

void PythonDict::Set(absl::string_view key, PythonValue value) {
  if (PythonValue* const found = Find(key)) {
    *found = std::move(value);
  } else {
    items_.emplace_back(std::string(key), std::move(value));
  }
}

bool NumberOf(const PythonValue& value, double* number) {
  if (const bool* b = std::get_if<bool>(&value.value)) {
    *number = *b ? 1 : 0;
  } else if (const int64_t* i = std::get_if<int64_t>(&value.value)) {
    *number = static_cast<double>(*i);
  } else if (const double* d = std::get_if<double>(&value.value)) {
    *number = *d;
  } else {
    return false;
  }
  return true;
}

bool IsTrue(const PythonValue& value) {
  double number = 0;
  if (NumberOf(value, &number)) return number != 0;
  if (value.text() != nullptr) return !value.text()->empty();
  if (value.list() != nullptr) return !value.list()->items.empty();
  if (value.dict() != nullptr) return !value.dict()->items().empty();
  return false;
}

bool AreEqual(const PythonValue& a, const PythonValue& b) {
  double x = 0, y = 0;
  if (NumberOf(a, &x) && NumberOf(b, &y)) return x == y;
  if (a.is_none() && b.is_none()) return true;
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() == *b.text();
  if (a.list() != nullptr && b.list() != nullptr) {
    const auto &left = a.list()->items, &right = b.list()->items;
    if (a.list()->is_tuple != b.list()->is_tuple || left.size() != right.size()) return false;
    for (size_t i = 0; i < left.size(); ++i) {
      if (!AreEqual(left[i], right[i])) return false;
    }
    return true;
  }
  return false;
}

size_t SizeOf(const PythonValue& value) {
  size_t size = 1;
  if (value.text() != nullptr) size += value.text()->size();
  if (value.list() != nullptr) {
    for (const PythonValue& item : value.list()->items) size += SizeOf(item);
  }
  if (value.dict() != nullptr) {
    for (const auto& [key, item] : value.dict()->items()) size += key.size() + SizeOf(item);
  }
  return size;
}

std::string Describe(const PythonValue& value, size_t most) {
  std::string text = std::visit(
      [&](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, PythonValue::None>) return "None";
        if constexpr (std::is_same_v<T, bool>) return v ? "True" : "False";
        if constexpr (std::is_same_v<T, int64_t>) return absl::StrCat(v);
        if constexpr (std::is_same_v<T, double>) return DescribeReal(v);
        if constexpr (std::is_same_v<T, std::string>) return absl::StrCat("'", v, "'");
        if constexpr (std::is_same_v<T, PythonValue::List>) return DescribeList(v, most);
        if constexpr (std::is_same_v<T, PythonDict>) return DescribeDict(v, most);
        if constexpr (std::is_same_v<T, PythonValue::Unknown>) return absl::StrCat("unknown: ", v.why);
      },
      value.value);
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;  // not inside a character
    text = absl::StrCat(text.substr(0, most), "…");
  }
  return text;
}

}  // namespace arcshard::cli
