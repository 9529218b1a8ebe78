#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace arcshard::cli {

// A word of a Python file.
struct PythonToken {
  enum class Kind {
    kName,      // a name or keyword
    kNumber,    // as it is written
    kText,      // a string: its contents
    kOperator,  // such as == or (
    kNewLine,   // the end of a statement's line
    kIndent,    // the next line is indented further
    kDedent,    // one level less
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  int line = 0;               // from 1
  bool is_formatted = false;  // a string with the prefix f, whose contents need evaluation
};

// Cuts a file into words, ended by kEnd. Comments and lines without a statement are left out. InvalidArgument: it is
// no Python: a string without end, brackets that do not match, inconsistent indentation. `name` is for messages.
absl::StatusOr<std::vector<PythonToken>> TokensOf(const std::string& source, const std::string& name);

}  // namespace arcshard::cli
