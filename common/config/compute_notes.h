#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "common/config/run_config.h"

// What a run that computes in bfloat16 should know about a processor without instructions for it.
namespace arcshard {

// What keeps bfloat16 from being fast on this machine's processor, as the first half of a sentence: it has no
// instructions for it, or oneDNN, LibTorch's library of products, was told not to use them. "": nothing does, or
// nothing is known of the processor.
std::string WhyBfloat16IsSlow();

// The same from the text of /proc/cpuinfo and the value of ONEDNN_MAX_CPU_ISA.
std::string WhyBfloat16IsSlow(absl::string_view cpuinfo, absl::string_view isa_limit);

// A sentence on backbone.compute and head.compute where they are computed on a CPU of which `why_slow` is known; "":
// none is needed.
std::string NoteOnBackboneCompute(const RunConfig& config, absl::string_view why_slow);
std::string NoteOnHeadCompute(const RunConfig& config, absl::string_view why_slow);

}  // namespace arcshard
