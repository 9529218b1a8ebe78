#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_opcodes.h"
#include "common/pickle/pickle_reader.h"

namespace arcshard {

// The state of the stack machine that executes a pickle's opcodes: values on a stack with marks, and a memo. Errors
// name the opcode that is being executed.
class PickleStack {
 public:
  using Kind = PickleValue::Kind;

  explicit PickleStack(PickleDocument* document) : document_(document) {}

  void Begin(uint8_t opcode, size_t offset) {
    opcode_ = opcode;
    opcode_at_ = offset;
  }

  template <typename... What>
  absl::Status Refuse(const What&... what) const {
    const absl::string_view name = PickleOpcodeName(opcode_);
    return absl::InvalidArgumentError(
        absl::StrCat("opcode ", name.empty() ? absl::StrFormat("0x%02x", opcode_) : std::string(name), " at offset ",
                     opcode_at_, " ", what...));
  }

  PickleValue* Make(Kind kind) {
    document_->values_.emplace_back();
    document_->values_.back().kind = kind;
    return &document_->values_.back();
  }
  absl::Status Push(PickleValue* value) {
    stack_.push_back(value);
    return absl::OkStatus();
  }
  absl::Status PushInteger(Kind kind, int64_t integer) {
    PickleValue* value = Make(kind);
    value->integer = integer;
    return Push(value);
  }
  absl::Status PushReal(double real) {
    PickleValue* value = Make(Kind::kFloat);
    value->real = real;
    return Push(value);
  }
  absl::Status PushText(Kind kind, absl::string_view text) {
    PickleValue* value = Make(kind);
    value->text = text;
    return Push(value);
  }
  absl::Status PushOwnedText(Kind kind, std::string text) {
    document_->texts_.push_back(std::move(text));
    return PushText(kind, document_->texts_.back());
  }
  absl::StatusOr<PickleValue*> Pop() {
    if (stack_.size() <= floor()) return Refuse("finds nothing on the stack");
    PickleValue* top = stack_.back();
    stack_.pop_back();
    return top;
  }
  absl::StatusOr<PickleValue*> Top() {
    if (stack_.size() <= floor()) return Refuse("finds nothing on the stack");
    return stack_.back();
  }
  // Pops the values above the last mark, and the mark.
  absl::StatusOr<std::vector<const PickleValue*>> PopToMark() {
    if (marks_.empty()) return Refuse("finds no mark on the stack");
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  absl::Status PushTuple(int count) {
    PickleValue* tuple = Make(Kind::kTuple);
    tuple->items.resize(count);
    for (int i = count - 1; i >= 0; --i) {
      ASSIGN_OR_RETURN(tuple->items[i], Pop());
    }
    return Push(tuple);
  }
  absl::Status PushMarked(Kind kind) {
    ASSIGN_OR_RETURN(std::vector<const PickleValue*> items, PopToMark());
    PickleValue* value = Make(kind);
    value->items = std::move(items);
    return Push(value);
  }
  // Appends to a list, or adds to a set. An object may be either too (collections.deque); what it holds is not kept.
  absl::Status AppendTo(Kind kind, const std::vector<const PickleValue*>& items) {
    ASSIGN_OR_RETURN(PickleValue * into, Top());
    if (into->kind == Kind::kObject) return absl::OkStatus();
    if (into->kind != kind) return Refuse("appends to ", PickleKindName(into->kind));
    into->items.insert(into->items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }

  // Sets entries from alternating keys and values. An object may be a dict too (collections.OrderedDict).
  absl::Status SetIn(const std::vector<const PickleValue*>& items) {
    ASSIGN_OR_RETURN(PickleValue * dict, Top());
    if (dict->kind != Kind::kDict && dict->kind != Kind::kObject) {
      return Refuse("sets entries of ", PickleKindName(dict->kind));
    }
    if (items.size() % 2 != 0) return Refuse("has a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) dict->entries.emplace_back(items[i], items[i + 1]);
    return absl::OkStatus();
  }
  absl::Status PushMarkedDict() {
    ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items, PopToMark());
    RETURN_IF_ERROR(Push(Make(Kind::kDict)));
    return SetIn(items);
  }

  absl::Status Put(uint64_t index) {
    ASSIGN_OR_RETURN(memo_[index], Top());
    return absl::OkStatus();
  }
  absl::Status Get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) return Refuse("gets ", index, ", which was never put");
    return Push(found->second);
  }

  // Calls what lies below a tuple of arguments; nothing is executed.
  absl::Status Call() {
    ASSIGN_OR_RETURN(const PickleValue* arguments, Pop());
    ASSIGN_OR_RETURN(const PickleValue* callee, Pop());
    return PushCall(callee, arguments);
  }
  // OBJ: a class and its arguments lie above a mark.
  absl::Status CallMarked() {
    ASSIGN_OR_RETURN(std::vector<const PickleValue*> items, PopToMark());
    if (items.empty()) return Refuse("finds no class above the mark");
    PickleValue* arguments = Make(Kind::kTuple);
    arguments->items.assign(items.begin() + 1, items.end());
    return PushCall(items[0], arguments);
  }
  absl::Status PushCall(const PickleValue* callee, const PickleValue* arguments) {
    static const PickleValue kNothing = PickleValue::Of(Kind::kNone), kNoArguments = PickleValue::Of(Kind::kTuple);
    if (!IsForeign(*callee) || (arguments->kind != Kind::kTuple && !IsForeign(*arguments))) {
      return Refuse("calls ", PickleKindName(callee->kind), " with ", PickleKindName(arguments->kind));
    }
    const bool known = callee->kind == Kind::kGlobal && arguments->kind == Kind::kTuple;
    PickleValue* object = Make(Kind::kObject);
    object->items = {known ? callee : &kNothing, known ? arguments : &kNoArguments};
    return Push(object);
  }
  // Gives an object its state. What was not made here (a class, an object outside the pickle) keeps none.
  absl::Status Build() {
    ASSIGN_OR_RETURN(const PickleValue* state, Pop());
    ASSIGN_OR_RETURN(PickleValue * object, Top());
    if (!IsForeign(*object)) return Refuse("gives a state to ", PickleKindName(object->kind));
    if (object->kind != Kind::kObject) return absl::OkStatus();
    object->items.resize(2);
    object->items.push_back(state);
    return absl::OkStatus();
  }

  bool empty() const { return stack_.empty() && marks_.empty(); }
  void Mark() { marks_.push_back(stack_.size()); }
  bool at_mark() const { return stack_.size() == floor(); }
  size_t memo_size() const { return memo_.size(); }

 private:
  // Whether Python would have this value from elsewhere than the pickle, so that it may be anything.
  static bool IsForeign(const PickleValue& value) {
    return value.kind == Kind::kGlobal || value.kind == Kind::kObject || value.kind == Kind::kPersistent ||
           value.kind == Kind::kOutside;
  }
  // Values below this height must not be popped: the height at the last mark.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleDocument* const document_;
  size_t opcode_at_ = 0;
  uint8_t opcode_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // stack heights
  absl::flat_hash_map<uint64_t, PickleValue*> memo_;
};

}  // namespace arcshard
