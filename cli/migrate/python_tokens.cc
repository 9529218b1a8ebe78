#include "cli/migrate/python_tokens.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

using Kind = PythonToken::Kind;

constexpr size_t kTabWidth = 8;
// Longest first.
constexpr absl::string_view kOperators[] = {"**=", "//=", ">>=", "<<=", "...", "**", "//", "==", "!=", "<=", ">=", "->",
                                            ":=",  "+=",  "-=",  "*=",  "/=",  "%=", "&=", "|=", "^=", "<<", ">>"};

bool StartsName(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0; }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool ContinuesName(char c) { return StartsName(c) || IsDigit(c); }

class Tokenizer {
 public:
  Tokenizer(const std::string& source, const std::string& name) : source_(source), name_(name) {
    if (absl::StartsWith(source_, "\xEF\xBB\xBF")) at_ = 3;  // a byte order mark
  }

  absl::StatusOr<std::vector<PythonToken>> All() {
    while (at_ < source_.size()) {
      if (begins_line_ && depth_.empty()) RETURN_IF_ERROR(BeginLine());
      if (at_ < source_.size()) RETURN_IF_ERROR(Next());
    }
    if (!depth_.empty())
      return Refuse(absl::StrCat("the bracket ", depth_.substr(depth_.size() - 1), " is not closed"));
    EndLine();
    for (; indents_.size() > 1; indents_.pop_back()) Add(Kind::kDedent, "");
    Add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  absl::Status Refuse(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line_, ": ", what));
  }
  char Peek(size_t offset = 0) const { return at_ + offset < source_.size() ? source_[at_ + offset] : '\0'; }
  void Add(Kind kind, std::string text) { tokens_.push_back({.kind = kind, .text = std::move(text), .line = line_}); }
  void EndLine() {
    if (!tokens_.empty() && tokens_.back().kind != Kind::kNewLine && tokens_.back().kind != Kind::kIndent &&
        tokens_.back().kind != Kind::kDedent) {
      Add(Kind::kNewLine, "");
    }
  }

  // Measures the indentation of a line that has a statement.
  absl::Status BeginLine() {
    size_t width = 0;
    for (; Peek() == ' ' || Peek() == '\t' || Peek() == '\f'; ++at_) {
      width = Peek() == '\t' ? (width / kTabWidth + 1) * kTabWidth : width + 1;
    }
    if (Peek() == '#' || Peek() == '\n' || Peek() == '\r' || at_ >= source_.size()) {
      begins_line_ = false;
      return absl::OkStatus();
    }
    begins_line_ = false;
    if (width > indents_.back()) {
      if (indents_.size() > kMostNesting) return Refuse("the lines are indented too deeply");
      indents_.push_back(width);
      Add(Kind::kIndent, "");
    }
    while (width < indents_.back()) {
      indents_.pop_back();
      Add(Kind::kDedent, "");
    }
    if (width != indents_.back()) return Refuse("the line's indentation is that of no line before it");
    return absl::OkStatus();
  }

  absl::Status Next() {
    const char c = Peek();
    if (c == '\n') {
      if (depth_.empty()) {
        EndLine();
        begins_line_ = true;
      }
      ++line_;
      ++at_;
      return absl::OkStatus();
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
      ++at_;
      return absl::OkStatus();
    }
    if (c == '#') {
      at_ = std::min(source_.find('\n', at_), source_.size());
      return absl::OkStatus();
    }
    if (c == '\\' && (Peek(1) == '\n' || (Peek(1) == '\r' && Peek(2) == '\n'))) {
      at_ += Peek(1) == '\n' ? 2 : 3;
      ++line_;
      return absl::OkStatus();
    }
    if (const size_t prefix = LengthOfStringPrefix(); Peek(prefix) == '\'' || Peek(prefix) == '"') return Text(prefix);
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (StartsName(c)) {
      const size_t begin = at_;
      while (ContinuesName(Peek())) ++at_;
      Add(Kind::kName, source_.substr(begin, at_ - begin));
      return absl::OkStatus();
    }
    return Operator();
  }

  // Of "rb" before a string's quote.
  size_t LengthOfStringPrefix() const {
    size_t length = 0;
    while (length < 2 && absl::StrContains("rRbBuUfF", absl::string_view(source_).substr(at_ + length, 1)) &&
           Peek(length) != '\0') {
      ++length;
    }
    return length;
  }

  absl::Status Number() {
    const size_t begin = at_;
    while (ContinuesName(Peek()) || Peek() == '.' ||
           ((Peek() == '+' || Peek() == '-') && (source_[at_ - 1] == 'e' || source_[at_ - 1] == 'E') &&
            !absl::StartsWithIgnoreCase(absl::string_view(source_).substr(begin), "0x"))) {
      ++at_;
    }
    std::string digits = source_.substr(begin, at_ - begin);
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    Add(Kind::kNumber, digits);
    return absl::OkStatus();
  }

  absl::Status Text(size_t prefix) {
    const std::string letters = absl::AsciiStrToLower(source_.substr(at_, prefix));
    at_ += prefix;
    const char quote = Peek();
    const bool triple = Peek(1) == quote && Peek(2) == quote;
    const std::string end(triple ? 3 : 1, quote);
    at_ += end.size();
    const bool raw = absl::StrContains(letters, "r");
    const int first_line = line_;
    std::string text;
    while (at_ < source_.size() && source_.compare(at_, end.size(), end) != 0) {
      if (Peek() == '\n' && !triple) break;
      if (Peek() == '\n') ++line_;
      if (Peek() == '\\' && at_ + 1 < source_.size()) {
        Escape(raw, &text);
      } else {
        text.push_back(source_[at_++]);
      }
    }
    if (at_ >= source_.size() || source_.compare(at_, end.size(), end) != 0) {
      line_ = first_line;
      return Refuse("the string that begins here has no end");
    }
    at_ += end.size();
    tokens_.push_back({.kind = Kind::kText,
                       .text = std::move(text),
                       .line = first_line,
                       .is_formatted = absl::StrContains(letters, "f")});
    return absl::OkStatus();
  }

  // Appends what a backslash and the characters after it mean.
  void Escape(bool raw, std::string* text) {
    const char c = Peek(1);
    if (c == '\n') ++line_;
    at_ += 2;
    if (raw) return absl::StrAppend(text, "\\", std::string(1, c));
    switch (c) {
      case '\n':
        return;
      case 'n':
        return text->push_back('\n');
      case 't':
        return text->push_back('\t');
      case 'r':
        return text->push_back('\r');
      case '\\':
      case '\'':
      case '"':
        return text->push_back(c);
      case 'x': {
        uint32_t code = 0;
        if (at_ + 2 <= source_.size() && absl::SimpleHexAtoi(source_.substr(at_, 2), &code)) {
          at_ += 2;
          return text->push_back(static_cast<char>(code));
        }
        break;
      }
      default:
        break;
    }
    absl::StrAppend(text, "\\", std::string(1, c));
  }

  absl::Status Operator() {
    const char c = Peek();
    if (c == '(' || c == '[' || c == '{') {
      if (depth_.size() >= kMostNesting) return Refuse("brackets are nested too deeply");
      depth_.push_back(c);
    }
    if (c == ')' || c == ']' || c == '}') {
      const char open = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (depth_.empty() || depth_.back() != open)
        return Refuse(absl::StrCat("no bracket is open for this ", std::string(1, c)));
      depth_.pop_back();
    }
    for (const absl::string_view op : kOperators) {
      if (source_.compare(at_, op.size(), op.data(), op.size()) == 0) {
        at_ += op.size();
        Add(Kind::kOperator, std::string(op));
        return absl::OkStatus();
      }
    }
    if (!absl::StrContains("()[]{}:,;.=+-*/%<>@&|^~!", std::string(1, c)) || c == '\0') {
      return Refuse(
          absl::StrCat("the byte ", static_cast<int>(static_cast<unsigned char>(c)), " is no part of Python"));
    }
    ++at_;
    Add(Kind::kOperator, std::string(1, c));
    return absl::OkStatus();
  }

  static constexpr size_t kMostNesting = 50;

  const std::string& source_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
  bool begins_line_ = true;
  std::string depth_;  // the brackets that are open
  std::vector<size_t> indents_ = {0};
  std::vector<PythonToken> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<PythonToken>> TokensOf(const std::string& source, const std::string& name) {
  return Tokenizer(source, name).All();
}

}  // namespace arcshard::cli
