#pragma once

#include <array>

#include "absl/strings/string_view.h"

// Functions that read untrusted bytes as a whole file of some format. Whatever the bytes are, they must not crash,
// leak, take long or allocate much more memory than the bytes account for. If reading succeeds, the functions check
// properties of the result. libFuzzer calls them in the preset fuzz (fuzz_main.cc); fuzz_seeds_test.cc runs them on the
// seeds in every build.
namespace arcshard {

void FuzzSafetensors(absl::string_view bytes);  // header, tensors, rows of class centers
void FuzzManifest(absl::string_view bytes);     // with the given and with the right CRC-32C
void FuzzRecordFile(absl::string_view bytes);   // 2 bytes: length of the .idx file, which follows; then the .rec file
void FuzzVerificationSet(absl::string_view bytes);  // a .bin file, which is a pickle
void FuzzTorchFile(absl::string_view bytes);        // .pt and .pth files, in both formats
void FuzzConfig(absl::string_view bytes);           // a run's YAML
void FuzzImportConfig(absl::string_view bytes);     // InsightFace's config.py

struct FuzzTarget {
  const char* name;  // its program is fuzz_<name>; its seeds are in seeds/<name>
  void (*run)(absl::string_view bytes);
};
inline constexpr std::array<FuzzTarget, 7> kFuzzTargets = {{{"safetensors", FuzzSafetensors},
                                                            {"manifest", FuzzManifest},
                                                            {"record_file", FuzzRecordFile},
                                                            {"verification_set", FuzzVerificationSet},
                                                            {"torch_file", FuzzTorchFile},
                                                            {"config", FuzzConfig},
                                                            {"import_config", FuzzImportConfig}}};

}  // namespace arcshard
