#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/config/schema.h"

// One key's value as text. Errors are the end of a sentence whose beginning, the place and the key, the caller knows.
namespace arcshard {

// What a value may look like: "a whole number", "true or false", "a list of texts".
std::string DescribeType(const ConfigValue& value);

// What a value may be: "from 1 to 1024", "above 0 and at most 80", "drop or keep"; empty if anything goes.
std::string DescribeCheck(const ConfigCheck& check);

bool IsList(const ConfigValue& value);

// Sets a scalar, or appends an element to a list. `quoted`: it stood in quotes, so it is text and nothing else.
// InvalidArgument: "expects ..., found ..." or "must be ..., found ...". The value is then unchanged.
absl::Status SetFromText(const ConfigKey& key, absl::string_view text, bool quoted);

void ClearList(const ConfigValue& value);

// The value again, for a configuration that was built in code. InvalidArgument as above.
absl::Status CheckValue(const ConfigKey& key);

// As YAML that reads back to the very same value.
std::string FormatValue(const ConfigValue& value);

}  // namespace arcshard
