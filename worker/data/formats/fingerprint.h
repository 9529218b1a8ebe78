#pragma once

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// A hash of the values that are added, and of their order. It is the same in every process and build. It does not
// protect against deliberate collisions.
class Fingerprint {
 public:
  void Add(uint64_t value) {
    hash_ ^= value + 0x9e3779b97f4a7c15;  // splitmix64's finaliser
    hash_ = (hash_ ^ (hash_ >> 30)) * 0xbf58476d1ce4e5b9;
    hash_ = (hash_ ^ (hash_ >> 27)) * 0x94d049bb133111eb;
    hash_ ^= hash_ >> 31;
  }
  void Add(absl::string_view text) {
    Add(text.size());
    for (; !text.empty(); text.remove_prefix(text.size() < 8 ? text.size() : 8)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data(), text.size() < 8 ? text.size() : 8);
      Add(word);
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

}  // namespace arcshard::worker
