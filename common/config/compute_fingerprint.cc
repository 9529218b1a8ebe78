#include "common/config/compute_fingerprint.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/fnv1a.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace arcshard {
namespace {

// Sections and keys that no number of a step depends on.
constexpr std::array kOthers = {"checkpoint.",
                                "schedule.",
                                "verification.",
                                "run.folder",
                                "run.max_skips",
                                "run.record",
                                "run.tensorboard",
                                "data.train",
                                "data.format",
                                "data.root",
                                "data.loader_threads",
                                "data.prefetch",
                                "data.max_corrupt_share",
                                "data.log_samples",
                                "head.exp_budget_mb"};
// Of the cluster only these matter: a sum that more threads share is added up in another order, and what is sent may be
// rounded.
constexpr std::array kOfCluster = {"cluster.wire", "cluster.shard_threads", "cluster.worker_threads"};

bool Matters(absl::string_view key) {
  if (absl::StartsWith(key, "cluster.")) {
    return std::find(kOfCluster.begin(), kOfCluster.end(), key) != kOfCluster.end();
  }
  return std::none_of(kOthers.begin(), kOthers.end(), [key](absl::string_view other) {
    return absl::EndsWith(other, ".") ? absl::StartsWith(key, other) : key == other;
  });
}

}  // namespace

uint64_t ComputeFingerprint(const RunConfig& config) {
  RunConfig copy = config;
  uint64_t hash = kFnv1aBasis;
  for (const ConfigKey& key : ConfigKeys(&copy)) {
    if (Matters(key.name)) hash = ExtendFnv1a(hash, absl::StrCat(key.name, "=", FormatValue(key.value), "\n"));
  }
  return hash;
}

}  // namespace arcshard
