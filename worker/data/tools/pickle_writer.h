#pragma once

#include <cassert>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/pickle/pickle_opcodes.h"

namespace arcshard::worker {

// Writes the part of Python's pickle format that verification sets need, in protocol 3, the first one with bytes, which
// every Python 3 reads. arcshard's own files are safetensors and JSON; this format is InsightFace's.
class PickleWriter {
 public:
  PickleWriter() {
    Put(PickleOpcode::PROTO);
    out_.push_back(3);
  }

  void BeginList() {
    Put(PickleOpcode::EMPTY_LIST);
    Put(PickleOpcode::MARK);
  }
  void EndList() { Put(PickleOpcode::APPENDS); }
  // Requires: less than 4 GiB.
  void Bytes(absl::string_view bytes) {
    assert(bytes.size() <= std::numeric_limits<uint32_t>::max());
    Put(PickleOpcode::BINBYTES);
    for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<char>(bytes.size() >> shift));
    out_.append(bytes.data(), bytes.size());
  }
  void Bool(bool value) { Put(value ? PickleOpcode::NEWTRUE : PickleOpcode::NEWFALSE); }
  // Replaces the last two values by a tuple of them.
  void PairOfTheLastTwo() { Put(PickleOpcode::TUPLE2); }
  void Stop() { Put(PickleOpcode::STOP); }

  // Returns what was written since the last call.
  std::string Take() { return std::exchange(out_, std::string()); }

 private:
  void Put(PickleOpcode opcode) { out_.push_back(static_cast<char>(opcode)); }

  std::string out_;
};

}  // namespace arcshard::worker
