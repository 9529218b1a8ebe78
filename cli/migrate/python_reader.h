#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/migrate/python_value.h"

namespace arcshard::cli {

struct PythonModule {
  PythonDict names;                // what the file defines
  std::vector<std::string> notes;  // what was not read: "line 12: a loop"
};

// Reads a Python file that sets values, such as a configuration, without executing it. It follows assignments to names,
// attributes and items, dicts and namespaces (EasyDict), imports of these, conditions, arithmetic, and a few functions
// that only compute (int, len, os.path.join, ...). Any other call, and what depends on it, is Unknown; loops,
// definitions of functions and classes, and blocks under a condition that is not known are left out.
//
// InvalidArgument: it is not Python, or nests too deeply; the message begins with "name:line: ". ResourceExhausted: the
// file, or what it makes, is larger than a configuration can be.
absl::StatusOr<PythonModule> ReadPython(const std::string& source, const std::string& name);

}  // namespace arcshard::cli
