#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "worker/inference/evaluation.h"

namespace arcshard::worker {

// The verification sets of a run, and how far a worker is with its share of them. One thread uses it; any thread may
// call AddTo.
class Verifier {
 public:
  // Is called whenever further images are done. An error abandons what is being done, and is its result.
  using Heed = std::function<absl::Status()>;

  // Loads the sets that verification.sets names. Errors of LoadVerificationSets.
  absl::Status Load(const RunConfig& config);
  const std::vector<std::unique_ptr<VerificationSet>>& sets() const { return sets_; }
  int64_t ImagesOf(const VerificationShare& share) const { return ImagesOfShare(sets_, share); }

  // Finds what would make a verification fail. Errors of CheckSets, and of `heed`.
  absl::Status Check(const VerificationShare& share, const Heed& heed);

  // VerifyTogether, for all sets, one result each.
  using Results = std::vector<absl::StatusOr<VerificationResult>>;
  absl::StatusOr<Results> Verify(Backbone* backbone, const VerificationShare& share, AllReduce* all_reduce,
                                 const Heed& heed);

  // What the results say, under the names of the configuration; a line in the log for each set.
  struct Reports {
    std::vector<VerificationReport> sets;
    std::vector<std::string> problems;  // why the others are missing
  };
  Reports ReportsOf(const Results& results) const;

  // Sets how many images of the share Check or Verify has done, and of how many; 0 of 0 while neither runs.
  void AddTo(ParticipantStats* stats) const;

 private:
  // Counts the images, then asks `heed`.
  std::function<absl::Status(int64_t)> CountAnd(const Heed& heed);
  void Begin(const VerificationShare& share) { images_ = static_cast<uint64_t>(ImagesOf(share)); }
  void End() { images_ = done_ = 0; }

  std::vector<std::unique_ptr<VerificationSet>> sets_;
  std::vector<std::string> names_;  // of the sets
  EmbedOptions options_;
  int side_ = 0;  // pixels
  std::atomic<uint64_t> done_ = 0, images_ = 0;
};

}  // namespace arcshard::worker
