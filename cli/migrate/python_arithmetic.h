#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/migrate/python_value.h"

namespace arcshard::cli {

inline PythonValue UnknownValue(std::string why) { return {PythonValue::Unknown{std::move(why)}}; }

// A number as it is written.
PythonValue NumberValue(absl::string_view text);

// a op b, for + - * / // % **. Unknown where an operand is, or where Python would raise an error.
PythonValue Calculate(absl::string_view op, const PythonValue& a, const PythonValue& b);

// a op b, for == != < <= > >= in, "not in", is, "is not".
PythonValue Compare(absl::string_view op, const PythonValue& a, const PythonValue& b);

// function(arguments) for the functions that only compute. Unknown: it is none of them.
PythonValue CallKnown(absl::string_view function, const std::vector<PythonValue>& arguments);

}  // namespace arcshard::cli
