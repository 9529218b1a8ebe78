#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace arcshard {

// One value of a pickle. Values refer to one another as the pickle says, shared and possibly in circles: whoever walks
// them must bound its depth.
struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,    // integer: 0, 1
    kInt,     // integer
    kFloat,   // real
    kBytes,   // text: bytes, bytearray, and Python 2's str
    kText,    // text: UTF-8 as Python writes it (surrogates included)
    kList,    // items
    kTuple,   // items
    kDict,    // entries
    kGlobal,  // text: "module name"
    kObject,  // items: the global that was called, the tuple of its arguments, and, if it has one, its state; entries
              // that were set in it
    kPersistent,  // items: the id of something that lies outside the pickle
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0.0;
  absl::string_view text;
  std::vector<const PickleValue*> items;
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries;  // key, value: of equal keys the last counts
};

// "None", "a list", ...
absl::string_view PickleKindName(PickleValue::Kind kind);

// A pickle (protocols 0 to 5, of Python 2 and 3), read and never executed: calls of the allowed globals are kept as
// objects for the caller to interpret, everything else is refused.
class PickleDocument {
 public:
  // Opcodes that a pickle may have. Each makes at most one value: this bounds the memory, together with the file's
  // size.
  static constexpr int64_t kMaxOpcodes = int64_t{1} << 22;

  // `bytes`: all of it is one pickle; the document keeps it, and texts point into it. `globals`: what the pickle may
  // name, as "module name". InvalidArgument: no pickle, cut off, an opcode that is not read here or a global that is
  // not allowed; the message says which, and at which offset. ResourceExhausted: more than kMaxOpcodes.
  static absl::StatusOr<std::unique_ptr<PickleDocument>> Parse(std::string bytes,
                                                               absl::Span<const absl::string_view> globals);
  // The pickle that `bytes` begins with; what follows it is not looked at.
  static absl::StatusOr<std::unique_ptr<PickleDocument>> ParsePrefix(std::string bytes,
                                                                     absl::Span<const absl::string_view> globals);
  PickleDocument(const PickleDocument&) = delete;
  PickleDocument& operator=(const PickleDocument&) = delete;

  const PickleValue& root() const { return *root_; }
  const std::deque<PickleValue>& values() const { return values_; }  // all, reachable from the root or not
  size_t length() const { return length_; }                          // bytes of the pickle itself

 private:
  friend class PickleMachine;
  friend class PickleStack;
  explicit PickleDocument(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string bytes_;
  std::deque<PickleValue> values_;  // stable addresses
  std::deque<std::string> texts_;   // what had to be unescaped
  const PickleValue* root_ = nullptr;
  size_t length_ = 0;
};

}  // namespace arcshard
