#include "common/config/compute_notes.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace arcshard {
namespace {

bool HasWord(absl::string_view line, absl::string_view word) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"));
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Whether oneDNN may use no instruction for bfloat16, by a name of its documentation of ONEDNN_MAX_CPU_ISA.
bool LimitsBfloat16(absl::string_view isa) {
  for (const absl::string_view name : {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}) {
    if (absl::AsciiStrToUpper(isa) == name) return true;
  }
  return false;
}

}  // namespace

std::string WhyBfloat16IsSlow(absl::string_view cpuinfo, absl::string_view isa_limit) {
  for (const absl::string_view line : absl::StrSplit(cpuinfo, '\n')) {
    if (absl::StartsWith(line, "flags")) {
      if (!HasWord(line, "avx512_bf16") && !HasWord(line, "amx_bf16")) {
        return "this processor has no instructions for bfloat16 (AVX512-BF16 or AMX)";
      }
      if (!LimitsBfloat16(isa_limit)) return "";
      return absl::StrCat("ONEDNN_MAX_CPU_ISA is ", isa_limit,
                          ", which excludes this processor's instructions for bfloat16");
    }
    if (absl::StartsWith(line, "Features")) {
      return HasWord(line, "bf16") ? "" : "this processor has no instructions for bfloat16 (Arm's BF16)";
    }
  }
  return "";
}

std::string WhyBfloat16IsSlow() {
  std::ifstream file("/proc/cpuinfo");
  const std::string cpuinfo{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (limit == nullptr) limit = std::getenv("DNNL_MAX_CPU_ISA");
  return WhyBfloat16IsSlow(cpuinfo, limit == nullptr ? "" : limit);
}

std::string NoteOnBackboneCompute(const RunConfig& config, absl::string_view why_slow) {
  if (why_slow.empty() || config.backbone.compute != "bfloat16") return "";
  return absl::StrCat("backbone.compute is bfloat16, but ", why_slow,
                      ": on this CPU a step takes several times as long as in float32");
}

std::string NoteOnHeadCompute(const RunConfig& config, absl::string_view why_slow) {
  if (why_slow.empty() || config.head.compute != "bfloat16") return "";
  return absl::StrCat("head.compute is bfloat16, but ", why_slow, ": on this CPU float32 is faster");
}

}  // namespace arcshard
