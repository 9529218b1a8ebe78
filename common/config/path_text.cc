#include "common/config/path_text.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace arcshard {
namespace {

template <typename... What>
absl::Status Refuse(absl::string_view text, const What&... what) {
  return absl::InvalidArgumentError(absl::StrCat("is '", text, "', ", what...));
}

bool IsOfName(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The name at the beginning of what follows a $, and how many characters it takes; an empty one: there is none.
struct Variable {
  std::string name;
  size_t length = 0;
};
Variable VariableAt(absl::string_view rest) {
  const bool braced = absl::StartsWith(rest, "{");
  if (braced) rest.remove_prefix(1);
  const auto* const end = std::find_if_not(rest.begin(), rest.end(), IsOfName);
  const size_t length = static_cast<size_t>(end - rest.begin());
  if (length == 0 || absl::ascii_isdigit(static_cast<unsigned char>(rest[0]))) return {};
  if (!braced) return {std::string(rest.substr(0, length)), length};
  return length < rest.size() && rest[length] == '}' ? Variable{std::string(rest.substr(0, length)), length + 2}
                                                     : Variable();
}

// Whether what follows a $ makes a shell replace the two by something that is no variable of the environment.
bool OnlyForAShell(absl::string_view rest) {
  return !rest.empty() &&
         (rest[0] == '{' || rest[0] == '(' || absl::ascii_isdigit(static_cast<unsigned char>(rest[0])));
}

}  // namespace

absl::StatusOr<std::string> ExpandPath(absl::string_view text) {
  std::string path;
  absl::string_view rest = text;
  if (absl::StartsWith(rest, "~")) {
    if (rest.size() > 1 && rest[1] != '/') {
      return Refuse(text, "and the home folders of others are not looked up; ./", text, " is a folder of that name");
    }
    const char* const home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') return Refuse(text, "but the environment has no HOME, which ~ stands for");
    path = home;
    rest.remove_prefix(1);
  }
  while (!rest.empty()) {
    const size_t special = std::min(rest.find_first_of("$`"), rest.size());
    absl::StrAppend(&path, rest.substr(0, special));
    rest.remove_prefix(special);
    if (rest.empty()) break;
    if (rest[0] == '`') return Refuse(text, "and a shell would run what is in backticks; write $` for a backtick");
    rest.remove_prefix(1);
    const Variable variable = VariableAt(rest);
    if (variable.name.empty()) {
      if (OnlyForAShell(rest)) {
        return Refuse(text, "of which only a shell can replace '$", rest.substr(0, 1),
                      "'; here $NAME and ${NAME} are replaced; write $$ for a dollar sign");
      }
      const bool escapes = absl::StartsWith(rest, "$") || absl::StartsWith(rest, "`");
      path.push_back(escapes ? rest[0] : '$');
      if (escapes) rest.remove_prefix(1);
      continue;
    }
    const char* const value = std::getenv(variable.name.c_str());
    if (value == nullptr || *value == '\0') {
      return Refuse(text, "but the environment has no ", variable.name, "; set it, or write $$ for a dollar sign");
    }
    path += value;
    rest.remove_prefix(variable.length);
  }
  return path;
}

std::string EscapePath(absl::string_view path) {
  return absl::StrCat(absl::StartsWith(path, "~") ? "./" : "", absl::StrReplaceAll(path, {{"$", "$$"}, {"`", "$`"}}));
}

}  // namespace arcshard
