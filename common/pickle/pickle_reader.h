#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace arcshard {

// One value of a pickle. Values may be shared and may refer to one another in circles, so code that walks them must
// bound its depth.
struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,     // integer: 0, 1
    kInt,      // integer
    kLongInt,  // text: an integer of more than 64 bits, as the pickle spells it
    kFloat,    // real
    kBytes,    // text: bytes, bytearray, and Python 2's str
    kText,     // text: UTF-8 as Python writes it (surrogates included)
    kList,     // items
    kTuple,    // items
    kSet,      // items: set and frozenset
    kDict,     // entries
    kGlobal,   // text: "module name"
    // items: the called global, the tuple of its arguments, and its state, if any; entries: those set in it. What is
    // called, or with what, may be the result of another call; then these are None and no arguments.
    kObject,
    kPersistent,  // items: the id of an object outside the pickle
    kOutside,     // bytes that were never part of the pickle (protocol 5)
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0.0;
  absl::string_view text;
  std::vector<const PickleValue*> items;
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries;  // key, value; the last of equal keys counts

  static PickleValue Of(Kind kind) {
    PickleValue value;
    value.kind = kind;
    return value;
  }
};

// "None", "a list", ...
absl::string_view PickleKindName(PickleValue::Kind kind);

// The same with the class of an object: "an object of argparse.Namespace". Safe to print.
std::string DescribePickleValue(const PickleValue& value);

// A pickle (protocols 0 to 5, of Python 2 and 3) that is parsed and never executed. Calls become objects, which the
// caller interprets if it knows the global that is called and needs the object.
class PickleDocument {
 public:
  // The largest number of opcodes. Each creates at most one value, so this and the file's size bound the memory.
  static constexpr int64_t kMaxOpcodes = int64_t{1} << 22;

  // The globals that a pickle may name, as "module name". nullopt: all, for pickles that hold more than their reader
  // needs: it interprets only what it knows, and has to say where it does not know what it needs.
  using Globals = std::optional<absl::Span<const absl::string_view>>;

  // Parses `bytes`, all of which must be a single pickle. The document keeps them, and its texts point into them.
  // InvalidArgument: the bytes are not a pickle, are cut off, or contain a global that is not allowed; the message
  // names it and its offset. ResourceExhausted: more than kMaxOpcodes.
  static absl::StatusOr<std::unique_ptr<PickleDocument>> Parse(std::string bytes, const Globals& globals);
  // Parses the pickle at the beginning of `bytes` and ignores what follows it.
  static absl::StatusOr<std::unique_ptr<PickleDocument>> ParsePrefix(std::string bytes, const Globals& globals);
  PickleDocument(const PickleDocument&) = delete;
  PickleDocument& operator=(const PickleDocument&) = delete;

  const PickleValue& root() const { return *root_; }
  const std::deque<PickleValue>& values() const {
    return values_;
  }                                          // all, including those that the root does not refer to
  size_t length() const { return length_; }  // of the pickle, in bytes

 private:
  friend class PickleMachine;
  friend class PickleStack;
  explicit PickleDocument(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string bytes_;
  std::deque<PickleValue> values_;  // stable addresses
  std::deque<std::string> texts_;   // texts that had to be unescaped
  const PickleValue* root_ = nullptr;
  size_t length_ = 0;
};

}  // namespace arcshard
