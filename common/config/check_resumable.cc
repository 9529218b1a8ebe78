#include "common/config/check_resumable.h"

#include <cassert>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace arcshard {

absl::Status CheckResumable(const RunConfig& now, const RunConfig& then) {
  RunConfig a = now, b = then;
  const std::vector<ConfigKey> keys = ConfigKeys(&a), keys_then = ConfigKeys(&b);
  assert(keys.size() == keys_then.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const OnResume rule = keys[i].on_resume;
    if (rule == OnResume::kMayChange) continue;
    const std::string value = FormatValue(keys[i].value), value_then = FormatValue(keys_then[i].value);
    if (value == value_then) continue;
    if (rule == OnResume::kFixedUnlessZero && (value == "0" || value_then == "0")) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(keys[i].name, " is ", value, ", but was ", value_then,
                     " when the checkpoint was made, and a run resumes only with the same; init_from.checkpoint starts "
                     "a new one from it"));
  }
  return absl::OkStatus();
}

std::vector<std::string> DescribeChanges(const RunConfig& now, const RunConfig& then) {
  RunConfig a = now, b = then;
  const std::vector<ConfigKey> keys = ConfigKeys(&a), keys_then = ConfigKeys(&b);
  std::vector<std::string> changes;
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string value = FormatValue(keys[i].value), value_then = FormatValue(keys_then[i].value);
    if (value == value_then || keys[i].name == "run.folder") continue;
    changes.push_back(absl::StrCat(keys[i].name, " is ", value, ", was ", value_then));
  }
  return changes;
}

}  // namespace arcshard
