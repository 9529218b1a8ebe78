#include "cli/migrate/python_expression.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/migrate/python_arithmetic.h"

namespace arcshard::cli {
namespace {

using Kind = PythonToken::Kind;

constexpr int kMostNesting = 200;

PythonValue NotUnderstood(const PythonToken& token) {
  return UnknownValue(token.text.empty() ? "its expression ends too early"
                                         : absl::StrCat("its expression is not understood at ", token.text));
}

}  // namespace

class PythonExpressions::Nesting {
 public:
  explicit Nesting(PythonExpressions* of) : of_(of) { ++of_->depth_; }
  ~Nesting() { --of_->depth_; }
  bool too_deep() const { return of_->depth_ > kMostNesting; }

 private:
  PythonExpressions* const of_;
};

bool PythonExpressions::IsOperator(const char* text) const {
  return token().kind == Kind::kOperator && token().text == text;
}

bool PythonExpressions::IsName(const char* text) const { return token().kind == Kind::kName && token().text == text; }

void PythonExpressions::Next() {
  if (token().kind != Kind::kEnd) ++*position_;
}

PythonValue PythonExpressions::Read() {
  PythonValue first = ReadOne();
  if (!IsOperator(",")) return first;
  PythonValue::List tuple{.items = {std::move(first)}, .is_tuple = true};
  while (IsOperator(",")) {
    Next();
    if (token().kind == Kind::kNewLine || token().kind == Kind::kEnd || IsOperator("=")) break;
    tuple.items.push_back(ReadOne());
  }
  return {std::move(tuple)};
}

PythonValue PythonExpressions::ReadOne() {
  const Nesting nesting(this);
  if (nesting.too_deep()) return UnknownValue("it nests too deeply");
  PythonValue value = Or();
  if (!IsName("if")) return value;
  Next();
  const PythonValue condition = Or();
  if (!IsName("else")) return NotUnderstood(token());
  Next();
  PythonValue other = ReadOne();
  if (condition.unknown() != nullptr) return condition;
  return IsTrue(condition) ? value : other;
}

PythonValue PythonExpressions::Or() {
  PythonValue value = And();
  while (IsName("or")) {
    Next();
    PythonValue other = And();
    if (value.unknown() == nullptr && !IsTrue(value)) value = std::move(other);
  }
  return value;
}

PythonValue PythonExpressions::And() {
  PythonValue value = Not();
  while (IsName("and")) {
    Next();
    PythonValue other = Not();
    if (value.unknown() == nullptr && IsTrue(value)) value = std::move(other);
  }
  return value;
}

PythonValue PythonExpressions::Not() {
  if (!IsName("not")) return Comparison();
  const Nesting nesting(this);
  if (nesting.too_deep()) return UnknownValue("it nests too deeply");
  Next();
  PythonValue value = Not();
  if (value.unknown() != nullptr) return value;
  return {!IsTrue(value)};
}

PythonValue PythonExpressions::Comparison() {
  PythonValue left = Sum();
  PythonValue result = {true};
  bool compared = false;
  while (true) {
    std::string op;
    for (const char* known : {"==", "!=", "<", "<=", ">", ">="}) {
      if (IsOperator(known)) op = known;
    }
    for (const char* known : {"in", "is", "not"}) {
      if (IsName(known)) op = known;
    }
    if (op.empty()) return compared ? result : left;
    Next();
    if (op == "not" && !IsName("in")) return NotUnderstood(token());
    if (op == "not" || (op == "is" && IsName("not"))) {
      Next();
      op = op == "not" ? "not in" : "is not";
    }
    PythonValue right = Sum();
    PythonValue verdict = Compare(op, left, right);
    if (result.unknown() == nullptr && IsTrue(result)) result = std::move(verdict);
    left = std::move(right);
    compared = true;
  }
}

PythonValue PythonExpressions::Sum() {
  PythonValue value = Term();
  while (IsOperator("+") || IsOperator("-")) {
    const std::string op = token().text;
    Next();
    value = scope_->Counted(Calculate(op, value, Term()));
  }
  return value;
}

PythonValue PythonExpressions::Term() {
  PythonValue value = Factor();
  while (IsOperator("*") || IsOperator("/") || IsOperator("//") || IsOperator("%")) {
    const std::string op = token().text;
    Next();
    value = Calculate(op, value, Factor());
  }
  return value;
}

PythonValue PythonExpressions::Factor() {
  const Nesting nesting(this);
  if (nesting.too_deep()) return UnknownValue("it nests too deeply");
  if (!IsOperator("-") && !IsOperator("+")) return Power();
  const std::string op = token().text;
  Next();
  return Calculate(op, {int64_t{0}}, Factor());
}

PythonValue PythonExpressions::Power() {
  PythonValue value = Primary();
  if (!IsOperator("**")) return value;
  Next();
  return Calculate("**", value, Factor());
}

PythonValue PythonExpressions::Primary() {
  PythonValue value = Atom();
  while (IsOperator("[")) value = Item(value);
  if (!IsOperator("(") && !IsOperator(".")) return value;
  PythonValue not_understood = NotUnderstood(token());  // a method of a value, or a call of one
  while (IsOperator(".")) {
    Next();
    Next();
  }
  if (IsOperator("(")) {
    Next();
    Items(")", true);
  }
  return not_understood;
}

PythonValue PythonExpressions::Atom() {
  const PythonToken& first = token();
  switch (first.kind) {
    case Kind::kNumber:
      Next();
      return NumberValue(first.text);
    case Kind::kText:
      return TextDisplay();
    case Kind::kName:
      return Named();
    case Kind::kOperator:
      break;
    default:
      return NotUnderstood(first);
  }
  if (IsOperator("(")) {
    Next();
    return Items(")", true);
  }
  if (IsOperator("[")) {
    Next();
    return Items("]", false);
  }
  if (IsOperator("{")) return DictDisplay();
  return NotUnderstood(first);
}

PythonValue PythonExpressions::TextDisplay() {
  std::string text;
  bool formatted = false;
  for (; token().kind == Kind::kText; Next()) {
    formatted = formatted || (token().is_formatted && absl::StrContains(token().text, "{"));
    text += token().text;
  }
  return formatted ? UnknownValue("it is a formatted string") : PythonValue{std::move(text)};
}

// A name, an attribute, or a call of one.
PythonValue PythonExpressions::Named() {
  if (IsName("True") || IsName("False")) {
    const bool value = IsName("True");
    Next();
    return {value};
  }
  if (IsName("None")) {
    Next();
    return {};
  }
  PythonScope::Path path = {token().text};
  if (IsName("lambda") || IsName("await") || IsName("yield")) return NotUnderstood(token());
  Next();
  while (IsOperator(".")) {
    Next();
    if (token().kind != Kind::kName) return NotUnderstood(token());
    path.push_back(token().text);
    Next();
  }
  if (IsOperator("(")) return Call(path);
  const PythonValue* const found = scope_->Find(path);
  if (found != nullptr) return scope_->Counted(*found);
  return UnknownValue(absl::StrCat("nothing here defines ", absl::StrJoin(path, ".")));
}

PythonValue PythonExpressions::Call(const PythonScope::Path& function) {
  const Nesting nesting(this);
  if (nesting.too_deep()) return UnknownValue("it nests too deeply");
  Next();
  std::vector<PythonValue> arguments;
  PythonDict named;
  while (!IsOperator(")")) {
    if (token().kind == Kind::kName && tokens_[*position_ + 1].kind == Kind::kOperator &&
        tokens_[*position_ + 1].text == "=") {
      const std::string name = token().text;
      Next();
      Next();
      named.Set(name, ReadOne());
    } else {
      arguments.push_back(ReadOne());
    }
    if (IsOperator(",")) {
      Next();
    } else if (!IsOperator(")")) {
      return NotUnderstood(token());
    }
  }
  Next();
  const std::string whole = absl::StrJoin(function, ".");
  const bool makes = scope_->MakesDict(function.back()) && scope_->Find(function) == nullptr;
  const bool updates = function.size() > 1 && function.back() == "update";
  if (!makes && !updates) {
    return named.items().empty() ? CallKnown(whole, arguments) : UnknownValue(absl::StrCat("it calls ", whole));
  }
  PythonDict items;
  PythonDict* into = &items;
  if (updates) {
    PythonValue* const target = scope_->Find(PythonScope::Path(function.begin(), function.end() - 1));
    if (target == nullptr || target->dict() == nullptr) return UnknownValue(absl::StrCat("it calls ", whole));
    into = target->dict();
  }
  for (const PythonValue& argument : arguments) {
    if (argument.dict() == nullptr) return UnknownValue(absl::StrCat("it calls ", whole, " with no dict"));
    for (const auto& [key, value] : argument.dict()->items()) into->Set(key, value);
  }
  for (const auto& [key, value] : named.items()) into->Set(key, value);
  return updates ? PythonValue{} : PythonValue{std::move(items)};
}

PythonValue PythonExpressions::Item(const PythonValue& of) {
  Next();
  const PythonValue index = ReadOne();
  if (!IsOperator("]")) return NotUnderstood(token());
  Next();
  if (of.unknown() != nullptr) return of;
  if (of.dict() != nullptr && index.text() != nullptr) {
    const PythonValue* const found = of.dict()->Find(*index.text());
    return found != nullptr ? *found : UnknownValue(absl::StrCat("there is no item ", *index.text()));
  }
  const int64_t* const number = std::get_if<int64_t>(&index.value);
  if (of.list() != nullptr && number != nullptr) {
    const int64_t size = static_cast<int64_t>(of.list()->items.size());
    const int64_t at = *number < 0 ? *number + size : *number;
    if (at >= 0 && at < size) return PythonValue(of.list()->items[at]);
  }
  return UnknownValue("it takes an item that is not there");
}

// What is between brackets, after the opening one. In parentheses a single expression without a comma is itself.
PythonValue PythonExpressions::Items(const char* end, bool is_tuple) {
  PythonValue::List list{.items = {}, .is_tuple = is_tuple};
  bool comma = false;
  while (!IsOperator(end)) {
    list.items.push_back(ReadOne());
    if (IsOperator(",")) {
      comma = true;
      Next();
    } else if (!IsOperator(end)) {
      return NotUnderstood(token());
    }
  }
  Next();
  if (is_tuple && !comma && list.items.size() == 1) return std::move(list.items[0]);
  return {std::move(list)};
}

PythonValue PythonExpressions::DictDisplay() {
  Next();
  PythonDict dict;
  while (!IsOperator("}")) {
    const PythonValue key = ReadOne();
    if (!IsOperator(":")) return NotUnderstood(token());
    Next();
    PythonValue value = ReadOne();
    if (key.unknown() != nullptr) return key;
    dict.Set(key.text() != nullptr ? *key.text() : Describe(key), std::move(value));
    if (IsOperator(",")) {
      Next();
    } else if (!IsOperator("}")) {
      return NotUnderstood(token());
    }
  }
  Next();
  return {std::move(dict)};
}

}  // namespace arcshard::cli
