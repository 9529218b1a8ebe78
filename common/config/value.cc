#include "common/config/value.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

template <typename T>
struct ElementOf {
  using type = T;
};
template <typename T>
struct ElementOf<std::vector<T>> {
  using type = T;
};
template <typename Pointer>
using Element = typename ElementOf<std::remove_pointer_t<Pointer>>::type;

template <typename T>
inline constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

std::string FormatNumber(double value) {
  char buffer[32];
  const std::to_chars_result result =
      std::to_chars(buffer, buffer + sizeof(buffer), value);  // the shortest text that reads back
  std::string text(buffer, result.ptr);
  // to_chars would write 1e+09; whole numbers are easier to read in full.
  if (value == std::floor(value) && std::abs(value) < 1e15) text = absl::StrFormat("%.0f", value);
  return text == "-0" ? "-0.0" : text;
}

template <typename T>
const char* NameOfType() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (kIsInteger<T>) return "a whole number";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::optional<double>>) return "a number or auto";
  if constexpr (std::is_same_v<T, std::string>) return "text";
  if constexpr (std::is_same_v<T, absl::Duration>) return "a duration such as 500ms, 8s or 2m";
}

template <typename T>
absl::Status WrongType(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("expects ", NameOfType<T>(), ", found ", text.empty() ? "nothing" : absl::StrCat("'", text, "'")));
}

bool IsInside(const Range& range, double value) {
  return (range.low_allowed ? value >= range.low : value > range.low) &&
         (range.high_allowed ? value <= range.high : value < range.high);
}

std::string DescribeRange(const Range& range) {
  const bool has_low = std::isfinite(range.low);
  const bool has_high = std::isfinite(range.high);
  const std::string low = FormatNumber(range.low);
  const std::string high = FormatNumber(range.high);
  if (has_low && has_high && range.low_allowed && range.high_allowed) return absl::StrCat("from ", low, " to ", high);
  const std::string lower = has_low ? absl::StrCat(range.low_allowed ? "at least " : "above ", low) : "";
  const std::string upper = has_high ? absl::StrCat(range.high_allowed ? "at most " : "below ", high) : "";
  return absl::StrCat(lower, has_low && has_high ? " and " : "", upper);
}

absl::Status OutOfRange(const ConfigCheck& check, absl::string_view found) {
  const Range* range = std::get_if<Range>(&check);
  const bool has_reason = range != nullptr && *range->reason != '\0';
  return absl::InvalidArgumentError(absl::StrCat("must be ", DescribeCheck(check), ", found ", found,
                                                 has_reason ? absl::StrCat(" (", range->reason, ")") : ""));
}

// The bounds of a whole number: the key's, or the type's if the key has none.
template <typename T>
Range BoundsOf(const ConfigCheck& check) {
  if (const Range* range = std::get_if<Range>(&check)) return *range;
  return {.low = static_cast<double>(std::numeric_limits<T>::min()),
          .high = std::ldexp(1.0, std::numeric_limits<T>::digits),
          .high_allowed = false};
}

template <typename T>
absl::Status CheckElement(const ConfigCheck& check, const T& value) {
  if constexpr (kIsInteger<T>) {
    const Range* range = std::get_if<Range>(&check);
    if (range != nullptr && !IsInside(*range, static_cast<double>(value)))
      return OutOfRange(check, absl::StrCat(value));
  } else if constexpr (std::is_same_v<T, double>) {
    if (!std::isfinite(value)) return absl::InvalidArgumentError("expects a finite number");
    const Range* range = std::get_if<Range>(&check);
    if (range != nullptr && !IsInside(*range, value)) return OutOfRange(check, FormatNumber(value));
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    if (value) return CheckElement(check, *value);
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    const DurationRange* range = std::get_if<DurationRange>(&check);
    if (range != nullptr && (value < range->low || value > range->high)) {
      return OutOfRange(check, absl::FormatDuration(value));
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (const OneOf* one_of = std::get_if<OneOf>(&check)) {
      for (const std::string& name : one_of->names) {
        if (name == value) return absl::OkStatus();
      }
      return OutOfRange(check, absl::StrCat("'", value, "'"));
    }
  }
  return absl::OkStatus();
}

bool IsWholeNumber(absl::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  if (text.empty()) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

// nullopt: the text is not of this type.
template <typename T>
std::optional<T> Parse(absl::string_view text) {
  T value;
  if constexpr (std::is_same_v<T, bool>) {
    if (text != "true" && text != "false") return std::nullopt;
    value = text == "true";
  } else if constexpr (std::is_same_v<T, double>) {
    if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return std::nullopt;
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    if (text == "auto") return T();
    value = Parse<double>(text);
    if (!value) return std::nullopt;
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = std::string(text);
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    if (!absl::ParseDuration(text, &value) || value == absl::InfiniteDuration()) return std::nullopt;
  } else {
    if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  }
  return value;
}

template <typename T>
absl::StatusOr<T> ParseAndCheck(const ConfigCheck& check, absl::string_view text, bool quoted) {
  if (quoted && !std::is_same_v<T, std::string>) return WrongType<T>(absl::StrCat("\"", text, "\""));
  const std::optional<T> value = Parse<T>(text);
  if constexpr (kIsInteger<T>) {
    // A whole number that is too large for T is out of range, rather than of the wrong type.
    if (!value && IsWholeNumber(text)) return OutOfRange(BoundsOf<T>(check), text);
  }
  if (!value) return WrongType<T>(text);
  RETURN_IF_ERROR(CheckElement(check, *value));
  return *value;
}

std::string Quote(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&quoted, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

std::string FormatElement(bool value) { return value ? "true" : "false"; }
std::string FormatElement(double value) { return FormatNumber(value); }
std::string FormatElement(std::optional<double> value) { return value ? FormatNumber(*value) : "auto"; }
std::string FormatElement(absl::Duration value) { return absl::FormatDuration(value); }
std::string FormatElement(const std::string& value) {
  bool plain = !value.empty() && value != "null" && value != "Null" && value != "NULL" && value.front() != '-';
  for (const char c : value) {
    plain =
        plain && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '/' || c == '.' || c == '-');
  }
  return plain ? value : Quote(value);
}
template <typename T>
requires kIsInteger<T> std::string FormatElement(T value) { return absl::StrCat(value); }

template <typename T>
inline constexpr bool kIsList = !std::is_same_v<T, typename ElementOf<T>::type>;

}  // namespace

bool IsList(const ConfigValue& value) {
  return std::visit([](auto* slot) { return kIsList<std::remove_pointer_t<decltype(slot)>>; }, value);
}

std::string DescribeType(const ConfigValue& value) {
  return std::visit(
      [](auto* slot) -> std::string {
        using T = Element<decltype(slot)>;
        if (!kIsList<std::remove_pointer_t<decltype(slot)>>) return NameOfType<T>();
        return std::is_same_v<T, double> ? "a list of numbers" : "a list of texts";
      },
      value);
}

std::string DescribeCheck(const ConfigCheck& check) {
  if (const Range* range = std::get_if<Range>(&check)) return DescribeRange(*range);
  if (const DurationRange* range = std::get_if<DurationRange>(&check)) {
    return absl::StrCat("from ", absl::FormatDuration(range->low), " to ", absl::FormatDuration(range->high));
  }
  if (const OneOf* one_of = std::get_if<OneOf>(&check)) {
    const std::vector<std::string>& names = one_of->names;
    return absl::StrCat(absl::StrJoin(names.begin(), names.end() - 1, ", "), " or ", names.back());
  }
  return "";
}

absl::Status SetFromText(const ConfigKey& key, absl::string_view text, bool quoted) {
  return std::visit(
      [&](auto* slot) -> absl::Status {
        ASSIGN_OR_RETURN(auto element, ParseAndCheck<Element<decltype(slot)>>(key.check, text, quoted));
        if constexpr (kIsList<std::remove_pointer_t<decltype(slot)>>) {
          slot->push_back(std::move(element));
        } else {
          *slot = std::move(element);
        }
        return absl::OkStatus();
      },
      key.value);
}

void ClearList(const ConfigValue& value) {
  std::visit(
      [](auto* slot) {
        if constexpr (kIsList<std::remove_pointer_t<decltype(slot)>>) slot->clear();
      },
      value);
}

absl::Status CheckValue(const ConfigKey& key) {
  return std::visit(
      [&](auto* slot) -> absl::Status {
        if constexpr (kIsList<std::remove_pointer_t<decltype(slot)>>) {
          for (const auto& element : *slot) RETURN_IF_ERROR(CheckElement(key.check, element));
          return absl::OkStatus();
        } else {
          return CheckElement(key.check, *slot);
        }
      },
      key.value);
}

std::string FormatValue(const ConfigValue& value) {
  return std::visit(
      [](auto* slot) {
        if constexpr (kIsList<std::remove_pointer_t<decltype(slot)>>) {
          return absl::StrCat(
              "[",
              absl::StrJoin(*slot, ", ",
                            [](std::string* out, const auto& element) { out->append(FormatElement(element)); }),
              "]");
        } else {
          return FormatElement(*slot);
        }
      },
      value);
}

}  // namespace arcshard
