#include "cli/migrate/python_arithmetic.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace arcshard::cli {
namespace {

const PythonValue* FirstUnknown(const PythonValue& a, const PythonValue& b) {
  return a.unknown() != nullptr ? &a : b.unknown() != nullptr ? &b : nullptr;
}

// A bool counts as an int.
std::optional<int64_t> IntegerOf(const PythonValue& value) {
  if (const bool* b = std::get_if<bool>(&value.value)) return *b ? 1 : 0;
  if (const int64_t* i = std::get_if<int64_t>(&value.value)) return *i;
  return std::nullopt;
}

// nullopt: the result is no int, or does not fit.
std::optional<int64_t> CalculateIntegers(absl::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "+") return __builtin_add_overflow(a, b, &result) ? std::nullopt : std::optional(result);
  if (op == "-") return __builtin_sub_overflow(a, b, &result) ? std::nullopt : std::optional(result);
  if (op == "*") return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
  if (op == "//" || op == "%") {
    if (b == 0 || (a == INT64_MIN && b == -1)) return std::nullopt;
    const int64_t quotient = a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);  // rounded down
    return op == "%" ? a - quotient * b : quotient;
  }
  if (op == "**" && b >= 0) {
    result = 1;
    for (int64_t i = 0; i < b; ++i) {
      if (__builtin_mul_overflow(result, a, &result)) return std::nullopt;
      if (result == 0 || (result == 1 && a == 1)) break;
      if (a == -1) return b % 2 == 0 ? 1 : -1;
    }
    return result;
  }
  return std::nullopt;
}

PythonValue CalculateReals(absl::string_view op, double a, double b) {
  if (op == "+") return {a + b};
  if (op == "-") return {a - b};
  if (op == "*") return {a * b};
  if (op == "**") return {std::pow(a, b)};
  if (op != "/" && op != "//" && op != "%") return UnknownValue(absl::StrCat("it computes with ", op));
  if (b == 0) return UnknownValue("it divides by 0");
  if (op == "/") return {a / b};
  if (op == "//") return {std::floor(a / b)};
  return {a - b * std::floor(a / b)};
}

std::optional<int> Order(const PythonValue& a, const PythonValue& b) {
  double x = 0, y = 0;
  if (NumberOf(a, &x) && NumberOf(b, &y)) return x < y ? -1 : x > y ? 1 : 0;
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->compare(*b.text());
  return std::nullopt;
}

PythonValue Contains(const PythonValue& whole, const PythonValue& part) {
  if (whole.text() != nullptr && part.text() != nullptr) return {absl::StrContains(*whole.text(), *part.text())};
  if (whole.dict() != nullptr && part.text() != nullptr) return {whole.dict()->Find(*part.text()) != nullptr};
  if (whole.list() == nullptr) return UnknownValue("it looks into something that has no items");
  const auto& items = whole.list()->items;
  return {std::any_of(items.begin(), items.end(), [&](const PythonValue& item) { return AreEqual(item, part); })};
}

PythonValue Not(PythonValue value) {
  if (value.unknown() != nullptr) return value;
  return {!IsTrue(value)};
}

PythonValue JoinPaths(const std::vector<PythonValue>& parts) {
  std::string path;
  for (const PythonValue& part : parts) {
    if (part.text() == nullptr) return part.unknown() != nullptr ? part : UnknownValue("it joins what is no path");
    if (absl::StartsWith(*part.text(), "/") || path.empty()) {
      path = *part.text();
    } else {
      absl::StrAppend(&path, absl::EndsWith(path, "/") ? "" : "/", *part.text());
    }
  }
  return {path};
}

PythonValue Converted(absl::string_view type, const PythonValue& value) {
  double number = 0;
  const bool is_number = NumberOf(value, &number);
  if (!is_number && (value.text() == nullptr || !absl::SimpleAtod(*value.text(), &number))) {
    return UnknownValue(absl::StrCat("it converts ", Describe(value)));
  }
  if (type == "float") return {number};
  if (!(std::abs(number) < 9e18)) return UnknownValue("it is too large");
  return {static_cast<int64_t>(type == "round" ? std::nearbyint(number) : std::trunc(number))};
}

}  // namespace

PythonValue NumberValue(absl::string_view text) {
  int64_t integer = 0;
  double real = 0;
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    if (absl::SimpleHexAtoi(text, &integer)) return {integer};
  } else if (absl::SimpleAtoi(text, &integer)) {
    return {integer};
  } else if (absl::SimpleAtod(text, &real)) {
    return {real};
  }
  return UnknownValue(absl::StrCat("the number ", text, " is not understood"));
}

PythonValue Calculate(absl::string_view op, const PythonValue& a, const PythonValue& b) {
  if (const PythonValue* unknown = FirstUnknown(a, b)) return *unknown;
  const std::optional<int64_t> m = IntegerOf(a), n = IntegerOf(b);
  if (m.has_value() && n.has_value()) {
    if (const auto result = CalculateIntegers(op, *m, *n)) return {*result};
  }
  double x = 0, y = 0;
  if (NumberOf(a, &x) && NumberOf(b, &y)) return CalculateReals(op, x, y);
  if (op == "+" && a.text() != nullptr && b.text() != nullptr) return {*a.text() + *b.text()};
  if (op == "+" && a.list() != nullptr && b.list() != nullptr) {
    PythonValue::List sum = *a.list();
    sum.items.insert(sum.items.end(), b.list()->items.begin(), b.list()->items.end());
    return {std::move(sum)};
  }
  return UnknownValue(absl::StrCat("it computes ", Describe(a, 20), " ", op, " ", Describe(b, 20)));
}

PythonValue Compare(absl::string_view op, const PythonValue& a, const PythonValue& b) {
  if (const PythonValue* unknown = FirstUnknown(a, b)) return *unknown;
  if (op == "==" || op == "is") return {AreEqual(a, b)};
  if (op == "!=" || op == "is not") return {!AreEqual(a, b)};
  if (op == "in") return Contains(b, a);
  if (op == "not in") return Not(Contains(b, a));
  const std::optional<int> order = Order(a, b);
  if (!order.has_value()) return UnknownValue("it compares what has no order");
  if (op == "<") return {*order < 0};
  if (op == "<=") return {*order <= 0};
  return {op == ">" ? *order > 0 : *order >= 0};
}

PythonValue CallKnown(absl::string_view function, const std::vector<PythonValue>& arguments) {
  for (const PythonValue& argument : arguments) {
    if (argument.unknown() != nullptr) return argument;
  }
  if (function == "os.path.join" || function == "osp.join" || function == "path.join" || function == "join") {
    return JoinPaths(arguments);
  }
  if (arguments.size() == 1) {
    const PythonValue& value = arguments[0];
    if (function == "int" || function == "float" || function == "round") return Converted(function, value);
    if (function == "len" && value.list() != nullptr) return {static_cast<int64_t>(value.list()->items.size())};
    if (function == "len" && value.text() != nullptr) return {static_cast<int64_t>(value.text()->size())};
    if ((function == "list" || function == "tuple") && value.list() != nullptr) {
      return {PythonValue::List{value.list()->items, function == "tuple"}};
    }
    if (function == "str") return {value.text() != nullptr ? *value.text() : Describe(value)};
  }
  if ((function == "max" || function == "min") && arguments.size() >= 2) {
    PythonValue best = arguments[0];
    for (const PythonValue& value : arguments) {
      const PythonValue better = Compare(function == "max" ? ">" : "<", value, best);
      if (better.unknown() != nullptr) return better;
      if (IsTrue(better)) best = value;
    }
    return best;
  }
  return UnknownValue(absl::StrCat("it calls ", function));
}

}  // namespace arcshard::cli
