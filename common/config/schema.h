#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/config/run_config.h"

// The one description of every key. Reading, checking, printing, the help text and the check of a resumed run all use
// it, so none of them can know a key that another does not.
namespace arcshard {

// Points to a key's value in a RunConfig; the alternative tells its type. An optional without a value is written
// "auto".
using ConfigValue = std::variant<bool*, int*, uint32_t*, int64_t*, uint64_t*, double*, std::optional<double>*,
                                 std::string*, absl::Duration*, std::vector<double>*, std::vector<std::string>*>;

// The bounds of a number, or of each element of a list. The bounds themselves are allowed unless a flag forbids it.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;
  bool high_allowed = true;
  const char* reason = "";  // for the bounds, where it is not obvious
};

struct DurationRange {
  absl::Duration low;
  absl::Duration high;
};

struct OneOf {
  std::vector<std::string> names;
};

using ConfigCheck = std::variant<std::monostate, Range, DurationRange, OneOf>;

// Whether the value is a path, or a list of paths. Relative ones in a configuration file are relative to its folder.
enum class PathBase { kNotAPath, kConfigFile };

// Whether a run that resumes from a checkpoint may change the key's value. Fixed keys determine the state, the shape of
// its tensors or the order of samples.
enum class OnResume {
  kMayChange,
  kFixed,
  kFixedUnlessZero,  // 0 stands for a value that the data tell, which is compared later
};

struct ConfigKey {
  std::string name;  // "data.batch_size": section and key
  ConfigValue value;
  ConfigCheck check;
  std::string unit;  // "samples"; empty: it has none
  std::string help;  // its meaning, and when it has no effect
  PathBase path_base = PathBase::kNotAPath;
  OnResume on_resume = OnResume::kMayChange;
};

// All keys of `config`, in the order of the struct. Their pointers point into `config`.
std::vector<ConfigKey> ConfigKeys(RunConfig* config);

}  // namespace arcshard
