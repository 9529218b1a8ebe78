#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"

// A run's progress as text. Pure functions.
namespace arcshard::cli {

// One line: "epoch 3.20/12  step 412/1560  loss 4.8123  cos 0.421  lr 0.0812  1530 samples/s  ETA 1m5s" while training,
// "waiting for 2 of 3 shards" before that, "recovering: shard 1 was lost at step 17: ..." after a loss, and so on. At
// most `width` columns: the least important pieces are left out.
std::string ProgressLine(const v1::Progress& progress, size_t width);

// The same for a terminal of `width` columns: while training, a progress bar precedes it if there is room.
std::string ProgressWithBar(const v1::Progress& progress, size_t width, bool colours);

// The latest verification: two lines for each set, and one more if there are several sets and their mean is the best
// so far:
//   step 900 unseen_alphabets: accuracy 0.9312 ± 0.0100 (threshold 1.23, xnorm 22.10, 6000 pairs), best so far
//     all pairs: accuracy 0.9325 (threshold 1.231), TAR 0.7110 at FAR 1e-3 (3 of 3000), 0.5317 at FAR 1e-4 (0 of 3000)
std::vector<std::string> VerificationLines(const v1::Progress& progress);

// The end of a line of VerificationLines if no verification was better.
inline constexpr absl::string_view kBestSoFar = ", best so far";

// "recovered 3 times, no step was lost", "recovered once, 12 steps were lost". Requires: recoveries > 0.
std::string DescribeRecoveries(uint64_t recoveries, uint64_t lost_steps);

// "4m5s", "59s": whole seconds.
std::string WholeSeconds(absl::Duration duration);

}  // namespace arcshard::cli
