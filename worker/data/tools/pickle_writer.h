#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/pickle/pickle_opcodes.h"

namespace arcshard::worker {

// Writes what a verification set needs of Python's pickle, protocol 3 (the first with bytes; any Python 3 reads it).
// arcshard's own files are safetensors and JSON; this one format is InsightFace's, and its readers call pickle.load.
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
  // Less than 4 GiB.
  void Bytes(absl::string_view bytes) {
    Put(PickleOpcode::BINBYTES);
    for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<char>(bytes.size() >> shift));
    out_.append(bytes.data(), bytes.size());
  }
  void Bool(bool value) { Put(value ? PickleOpcode::NEWTRUE : PickleOpcode::NEWFALSE); }
  // The last two values become a tuple of them.
  void PairOfTheLastTwo() { Put(PickleOpcode::TUPLE2); }
  void Stop() { Put(PickleOpcode::STOP); }

  // What was written since the last call.
  std::string Take() { return std::exchange(out_, std::string()); }

 private:
  void Put(PickleOpcode opcode) { out_.push_back(static_cast<char>(opcode)); }

  std::string out_;
};

}  // namespace arcshard::worker
