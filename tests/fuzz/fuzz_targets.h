#pragma once

#include <array>

#include "absl/strings/string_view.h"

// What is done with untrusted bytes: each reads them as a file of its format, all of it, and whatever they are must not
// crash, leak, run on for long or take memory that they do not account for. What must hold of bytes that are read
// without an error is checked. libFuzzer drives them in the preset fuzz (fuzz_main.cc); fuzz_seeds_test.cc runs them
// over the seeds in every build.
namespace arcshard {

void FuzzSafetensors(absl::string_view bytes);      // header, tensors, rows of class centers
void FuzzManifest(absl::string_view bytes);         // as it is, and with a CRC-32C that fits
void FuzzRecordFile(absl::string_view bytes);       // 2 bytes: length of the .idx, which follows, and then the .rec
void FuzzVerificationSet(absl::string_view bytes);  // a .bin: pickle
void FuzzTorchFile(absl::string_view bytes);        // .pt, .pth: archive and stream
void FuzzConfig(absl::string_view bytes);           // a run's YAML

struct FuzzTarget {
  const char* name;  // of its program, fuzz_<name>, and of its folder of seeds
  void (*run)(absl::string_view bytes);
};
inline constexpr std::array<FuzzTarget, 6> kFuzzTargets = {{{"safetensors", FuzzSafetensors},
                                                            {"manifest", FuzzManifest},
                                                            {"record_file", FuzzRecordFile},
                                                            {"verification_set", FuzzVerificationSet},
                                                            {"torch_file", FuzzTorchFile},
                                                            {"config", FuzzConfig}}};

}  // namespace arcshard
