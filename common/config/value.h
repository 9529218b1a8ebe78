#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/config/schema.h"

// One key's value as text. Error messages lack their subject: the caller puts the place and the key in front of them.
namespace arcshard {

// The form of a value: "a whole number", "true or false", "a list of texts".
std::string DescribeType(const ConfigValue& value);

// The allowed values: "from 1 to 1024", "above 0 and at most 80", "drop or keep"; empty if all are allowed.
std::string DescribeCheck(const ConfigCheck& check);

bool IsList(const ConfigValue& value);

// Sets a scalar, or appends an element to a list. `quoted`: the text was in quotes, so it can only be a string.
// InvalidArgument: "expects ..., found ..." or "must be ..., found ..."; the value is then unchanged.
absl::Status SetFromText(const ConfigKey& key, absl::string_view text, bool quoted);

void ClearList(const ConfigValue& value);

// Checks the current value, for a configuration that was built in code. InvalidArgument as above.
absl::Status CheckValue(const ConfigKey& key);

// The value as YAML that reads back as exactly the same value.
std::string FormatValue(const ConfigValue& value);

}  // namespace arcshard
