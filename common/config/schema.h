#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/config/run_config.h"

// The one description of every key. Reading, checking, printing and the help text all go through it, so none of them
// can know a key that another does not.
namespace arcshard {

// Where a key's value lies in a RunConfig; the alternative is its type. An optional without a value is written "auto".
using ConfigValue = std::variant<bool*, int*, uint32_t*, int64_t*, uint64_t*, double*, std::optional<double>*,
                                 std::string*, absl::Duration*, std::vector<double>*, std::vector<std::string>*>;

// A number's bounds; of a list: of each element. Bounds are allowed values unless said otherwise.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;
  bool high_allowed = true;
  const char* reason = "";  // why, where the bound is not obvious
};

struct DurationRange {
  absl::Duration low;
  absl::Duration high;
};

struct OneOf {
  std::vector<std::string> names;
};

using ConfigCheck = std::variant<std::monostate, Range, DurationRange, OneOf>;

// What a relative path in the file counts from.
enum class PathBase { kNotAPath, kConfigFile, kWorkingDirectory };

struct ConfigKey {
  std::string name;  // "data.batch_size": section and key
  ConfigValue value;
  ConfigCheck check;
  std::string unit;  // "samples"; empty: it has none
  std::string help;  // what it is, and when it does nothing
  PathBase path_base = PathBase::kNotAPath;
};

// Every key of `config`, in the order of the struct; the pointers live as long as it does.
std::vector<ConfigKey> ConfigKeys(RunConfig* config);

}  // namespace arcshard
