#include "common/config/check_resumable.h"

#include <array>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace arcshard {
namespace {

constexpr std::array<absl::string_view, 11> kFixed = {
    "run.seed",        "data.batch_size", "data.micro_batch_size", "data.last_batch",
    "data.image_size", "backbone.name",   "backbone.width",        "backbone.embedding_size",
    "head.weights",    "head.moments",    "optimizer.kind"};

}  // namespace

absl::Status CheckResumable(const RunConfig& now, const RunConfig& then) {
  const auto refuse = [](absl::string_view key, absl::string_view here, absl::string_view there) {
    return absl::FailedPreconditionError(
        absl::StrCat(key, " is ", here, ", but was ", there,
                     " when the checkpoint was made, and a run goes on only with the same; init_from.checkpoint starts "
                     "a new one from it"));
  };
  RunConfig a = now, b = then;
  const std::vector<ConfigKey> here = ConfigKeys(&a), there = ConfigKeys(&b);
  for (size_t i = 0; i < here.size(); ++i) {
    if (!absl::c_linear_search(kFixed, here[i].name)) continue;
    const std::string value = FormatValue(here[i].value), old = FormatValue(there[i].value);
    if (value != old) return refuse(here[i].name, value, old);
  }
  if (now.head.classes > 0 && then.head.classes > 0 && now.head.classes != then.head.classes) {
    return refuse("head.classes", absl::StrCat(now.head.classes), absl::StrCat(then.head.classes));
  }
  return absl::OkStatus();
}

}  // namespace arcshard
