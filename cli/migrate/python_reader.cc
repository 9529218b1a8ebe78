#include "cli/migrate/python_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/migrate/python_arithmetic.h"
#include "cli/migrate/python_expression.h"
#include "cli/migrate/python_scope.h"
#include "cli/migrate/python_tokens.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

using Kind = PythonToken::Kind;

constexpr size_t kMostBytes = 256 << 10;  // of a file
constexpr std::array<absl::string_view, 7> kBlocks = {"for", "while", "def", "class", "with", "try", "async"};
constexpr std::array<absl::string_view, 4> kContinuesBlock = {"except", "finally", "else", "elif"};
constexpr std::array<absl::string_view, 12> kCalculating = {
    "=", "+=", "-=", "*=", "/=", "//=", "%=", "**=", "|=", "&=", "^=", ":="};

template <size_t N>
bool IsOneOf(const std::array<absl::string_view, N>& words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Reader {
 public:
  explicit Reader(const std::vector<PythonToken>& tokens) : tokens_(tokens), expressions_(tokens, &position_, &scope_) {
    scope_.Set({"__name__"}, {std::string("config")});  // as it is for a file that is imported
  }

  PythonModule Read() {
    while (token().kind != Kind::kEnd) Statement();
    return {.names = scope_.names(), .notes = std::move(notes_)};
  }
  bool exhausted() const { return scope_.exhausted(); }

 private:
  const PythonToken& token() const { return tokens_[position_]; }
  void Next() { expressions_.Next(); }
  bool IsOperator(const char* text) const { return expressions_.IsOperator(text); }
  bool IsName(const char* text) const { return expressions_.IsName(text); }
  bool EndsStatement() const { return token().kind == Kind::kNewLine || token().kind == Kind::kEnd || IsOperator(";"); }
  void Note(int line, absl::string_view what) { notes_.push_back(absl::StrCat("line ", line, ": ", what)); }

  void Statement() {
    if (token().kind == Kind::kNewLine || token().kind == Kind::kIndent || token().kind == Kind::kDedent ||
        IsOperator(";")) {
      return Next();
    }
    if (IsName("if")) return If();
    if ((token().kind == Kind::kName && IsOneOf(kBlocks, token().text)) || IsOperator("@")) return LeaveOutBlock();
    if (token().kind == Kind::kName && IsOneOf(kContinuesBlock, token().text)) return SkipSuite();
    if (IsName("from") || IsName("import")) return Import();
    if (IsName("pass") || IsName("assert") || IsName("del") || IsName("global")) return SkipLine();
    PythonScope::Path target;
    if (ReadTarget(&target)) return Assign({target});
    const int line = token().line;
    expressions_.Read();
    if (IsOperator("=") || !EndsStatement()) Note(line, "the statement is not understood");
    SkipStatement();
  }

  void SkipStatement() {
    while (!EndsStatement()) Next();
  }
  void SkipLine() {
    while (token().kind != Kind::kNewLine && token().kind != Kind::kEnd) Next();
  }
  // The lines that are indented below this one.
  void SkipSuite() {
    SkipLine();
    Next();
    if (token().kind != Kind::kIndent) return;
    int depth = 0;
    do {
      depth += token().kind == Kind::kIndent ? 1 : token().kind == Kind::kDedent ? -1 : 0;
      Next();
    } while (depth > 0 && token().kind != Kind::kEnd);
  }

  void LeaveOutBlock() {
    if (!IsName("def") && !IsName("class") && !IsOperator("@")) {
      Note(token().line, absl::StrCat("what is below '", token().text, "' is left out"));
    }
    SkipSuite();
    while (token().kind == Kind::kName && IsOneOf(kContinuesBlock, token().text)) SkipSuite();
  }

  void If() {
    bool done = false, known = true;
    while (true) {
      const bool has_condition = !IsName("else");
      const int line = token().line;
      Next();
      PythonValue condition = {true};
      if (has_condition) condition = expressions_.ReadOne();
      if (!IsOperator(":")) condition = UnknownValue("it is not understood");
      if (!done && known && condition.unknown() != nullptr) {
        Note(line, absl::StrCat("what is below 'if' is left out, because its condition is not known: ",
                                condition.unknown()->why));
        known = false;
      }
      if (!done && known && IsTrue(condition)) {
        done = true;
        Suite();
      } else {
        SkipSuite();
      }
      if (!IsName("elif") && !IsName("else")) return;
    }
  }

  // Reads the statements of a block, from its colon on.
  void Suite() {
    Next();
    if (token().kind != Kind::kNewLine) {
      while (token().kind != Kind::kNewLine && token().kind != Kind::kEnd) {
        if (IsName("if")) SkipLine();  // none may stand here
        Statement();
      }
      return Next();
    }
    Next();
    if (token().kind != Kind::kIndent) return;
    Next();
    while (token().kind != Kind::kDedent && token().kind != Kind::kEnd) Statement();
    Next();
  }

  // Other files are not read, but what makes a dict is known by the name under which it is imported.
  void Import() {
    while (token().kind != Kind::kNewLine && token().kind != Kind::kEnd) {
      const bool makes = token().kind == Kind::kName && scope_.MakesDict(token().text);
      Next();
      if (!makes || !IsName("as")) continue;
      Next();
      scope_.AddMaker(token().text);
    }
  }

  // a.b["c"], if an assignment follows. Otherwise nothing is read.
  bool ReadTarget(PythonScope::Path* target) {
    const size_t begin = position_;
    target->clear();
    if (token().kind == Kind::kName) {
      target->push_back(token().text);
      Next();
      while (true) {
        if (IsOperator(".") && tokens_[position_ + 1].kind == Kind::kName) {
          target->push_back(tokens_[position_ + 1].text);
          position_ += 2;
        } else if (IsOperator("[") && tokens_[position_ + 1].kind == Kind::kText &&
                   tokens_[position_ + 2].text == "]") {
          target->push_back(tokens_[position_ + 1].text);
          position_ += 3;
        } else {
          break;
        }
      }
      if (IsOperator(":")) {  // a type, which says nothing
        Next();
        expressions_.ReadOne();
      }
      if (token().kind == Kind::kOperator && IsOneOf(kCalculating, token().text)) return true;
    }
    position_ = begin;
    return false;
  }

  // From the operator on. A value may be assigned to several targets: a = b = 1.
  void Assign(std::vector<PythonScope::Path> targets) {
    const int line = token().line;
    const std::string op = token().text;
    Next();
    PythonScope::Path another;
    while (op == "=" && ReadTarget(&another) && IsOperator("=")) {
      targets.push_back(another);
      Next();
    }
    const bool is_name = token().kind == Kind::kName && tokens_[position_ + 1].kind == Kind::kNewLine;
    const std::string name = token().text;
    PythonValue value = expressions_.Read();
    if (!EndsStatement()) value = UnknownValue("its expression is not understood");
    SkipStatement();
    if (op != "=") {
      const PythonValue* const before = scope_.Find(targets[0]);
      value = before == nullptr ? UnknownValue("nothing here defines what it changes")
                                : Calculate(absl::string_view(op).substr(0, op.size() - 1), *before, value);
    }
    for (const PythonScope::Path& target : targets) {
      if (target.size() == 1 && is_name && value.dict() != nullptr) {
        scope_.SetAlias(target[0], name);
      } else if (!scope_.Set(target, scope_.Counted(value))) {
        Note(line, absl::StrCat(target[0], " is no dict here; the assignment is left out"));
      }
    }
  }

  const std::vector<PythonToken>& tokens_;
  size_t position_ = 0;
  PythonScope scope_;
  PythonExpressions expressions_;
  std::vector<std::string> notes_;
};

}  // namespace

absl::StatusOr<PythonModule> ReadPython(const std::string& source, const std::string& name) {
  if (source.size() > kMostBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(name, " has ", source.size(), " bytes, more than the ", kMostBytes,
                                                     " that a configuration may have"));
  }
  ASSIGN_OR_RETURN(const std::vector<PythonToken> tokens, TokensOf(source, name));
  Reader reader(tokens);
  PythonModule module = reader.Read();
  if (reader.exhausted()) {
    return absl::ResourceExhaustedError(absl::StrCat(name, " makes more values than a configuration may have"));
  }
  return module;
}

}  // namespace arcshard::cli
