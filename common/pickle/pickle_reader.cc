#include "common/pickle/pickle_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_opcodes.h"
#include "common/pickle/pickle_stack.h"
#include "common/pickle/pickle_text.h"

namespace arcshard {

using Kind = PickleValue::Kind;

absl::string_view PickleKindName(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a bool";
    case Kind::kInt:
      return "an int";
    case Kind::kFloat:
      return "a float";
    case Kind::kBytes:
      return "bytes";
    case Kind::kText:
      return "a str";
    case Kind::kList:
      return "a list";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kDict:
      return "a dict";
    case Kind::kGlobal:
      return "a global";
    case Kind::kObject:
      return "an object";
    case Kind::kPersistent:
      return "a persistent id";
  }
  return "";
}

// A pickle is a program for a stack machine; this is the machine.
class PickleMachine : private PickleStack {
 public:
  PickleMachine(PickleDocument* document, absl::Span<const absl::string_view> globals)
      : PickleStack(document), document_(document), bytes_(document->bytes_), globals_(globals) {}

  absl::Status Run() {
    for (int64_t opcodes = 0; !stopped_; ++opcodes) {
      if (opcodes == PickleDocument::kMaxOpcodes) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", PickleDocument::kMaxOpcodes, " opcodes"));
      }
      const size_t offset = at_;
      ASSIGN_OR_RETURN(const absl::string_view byte, Take(1));
      const uint8_t opcode = static_cast<uint8_t>(byte[0]);
      Begin(opcode, offset);
      RETURN_IF_ERROR(Execute(static_cast<PickleOpcode>(opcode)));
    }
    document_->length_ = at_;
    return absl::OkStatus();
  }

 private:
  // Returns the next bytes.
  absl::StatusOr<absl::string_view> Take(uint64_t count) {
    if (count > bytes_.size() - at_) {
      return absl::InvalidArgumentError(
          absl::StrCat("cut off: ", count, " bytes at offset ", at_, " pass the end at ", bytes_.size()));
    }
    const absl::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  absl::StatusOr<absl::string_view> TakeLine() {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) return Refuse("has no end of line");
    const absl::string_view line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }
  // Reads a little-endian number of `width` bytes.
  absl::StatusOr<uint64_t> TakeNumber(int width) {
    ASSIGN_OR_RETURN(const absl::string_view raw, Take(width));
    uint64_t number = 0;
    std::memcpy(&number, raw.data(), raw.size());
    return number;
  }

  // Reads a length and a text of that length.
  absl::Status PushCounted(Kind kind, int width) {
    ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(width));
    ASSIGN_OR_RETURN(const absl::string_view text, Take(length));
    return PushText(kind, text);
  }

  absl::Status PushGlobal(absl::string_view module, absl::string_view name) {
    std::string full = absl::StrCat(module, " ", name);
    if (std::find(globals_.begin(), globals_.end(), full) == globals_.end()) {
      return Refuse("names ", absl::CHexEscape(absl::StrCat(module.substr(0, 100), ".", name.substr(0, 100))),
                    ", which is not allowed here");
    }
    return PushOwnedText(Kind::kGlobal, std::move(full));
  }
  absl::Status PushStackGlobal() {
    ASSIGN_OR_RETURN(const PickleValue* name, Pop());
    ASSIGN_OR_RETURN(const PickleValue* module, Pop());
    if (name->kind != Kind::kText || module->kind != Kind::kText) return Refuse("needs two strings");
    return PushGlobal(module->text, name->text);
  }
  // INT and LONG of protocol 0: decimal; 00 and 01 are False and True.
  absl::Status PushDecimal(bool may_be_bool) {
    ASSIGN_OR_RETURN(absl::string_view line, TakeLine());
    if (may_be_bool && (line == "00" || line == "01")) return PushInteger(Kind::kBool, line == "01");
    if (!may_be_bool && !line.empty() && line.back() == 'L') line.remove_suffix(1);
    int64_t integer;
    if (!absl::SimpleAtoi(line, &integer)) return Refuse("has no integer of 64 bits");
    return PushInteger(Kind::kInt, integer);
  }
  // FLOAT: decimal. BINFLOAT: IEEE 754, big-endian.
  absl::Status PushDecimalReal() {
    ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
    double real;
    if (!absl::SimpleAtod(line, &real)) return Refuse("has no number");
    return PushReal(real);
  }
  absl::Status PushBinaryReal() {
    ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(8));
    return PushReal(std::bit_cast<double>(__builtin_bswap64(raw)));
  }
  // LONG1 and LONG4: two's complement of any length.
  absl::Status PushLong(int width) {
    ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(width));
    if (length > 8) return Refuse("has an integer of ", length, " bytes");
    ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(static_cast<int>(length)));
    const int unused = 64 - 8 * static_cast<int>(length);
    return PushInteger(Kind::kInt, unused == 64 ? 0 : static_cast<int64_t>(raw << unused) >> unused);
  }
  absl::Status PushEscaped(Kind kind) {
    ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
    absl::StatusOr<std::string> text = kind == Kind::kBytes ? UnquotePythonString(line) : DecodeRawUnicodeEscape(line);
    if (!text.ok()) return Refuse("has ", text.status().message());
    return PushOwnedText(kind, *std::move(text));
  }

  absl::Status Execute(PickleOpcode opcode) {
    switch (opcode) {
      case PickleOpcode::PROTO: {
        ASSIGN_OR_RETURN(const uint64_t protocol, TakeNumber(1));
        return protocol <= 5 ? absl::OkStatus() : Refuse("announces protocol ", protocol, "; 0 to 5 are read");
      }
      case PickleOpcode::FRAME: {
        ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(8));
        return length <= bytes_.size() - at_ ? absl::OkStatus()
                                             : Refuse("announces ", length, " bytes, beyond the end");
      }
      case PickleOpcode::STOP: {
        ASSIGN_OR_RETURN(document_->root_, Pop());
        if (!empty()) return Refuse("leaves values on the stack");
        stopped_ = true;
        return absl::OkStatus();
      }

      case PickleOpcode::MARK:
        Mark();
        return absl::OkStatus();
      case PickleOpcode::POP:
        if (at_mark()) return PopToMark().status();
        return Pop().status();
      case PickleOpcode::POP_MARK:
        return PopToMark().status();
      case PickleOpcode::DUP: {
        ASSIGN_OR_RETURN(PickleValue * top, Top());
        return Push(top);
      }

      case PickleOpcode::NONE:
        return Push(Make(Kind::kNone));
      case PickleOpcode::NEWTRUE:
        return PushInteger(Kind::kBool, 1);
      case PickleOpcode::NEWFALSE:
        return PushInteger(Kind::kBool, 0);
      case PickleOpcode::INT:
        return PushDecimal(true);
      case PickleOpcode::LONG:
        return PushDecimal(false);
      case PickleOpcode::BININT: {
        ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(4));
        return PushInteger(Kind::kInt, static_cast<int32_t>(raw));
      }
      case PickleOpcode::BININT1:
      case PickleOpcode::BININT2: {
        ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(opcode == PickleOpcode::BININT1 ? 1 : 2));
        return PushInteger(Kind::kInt, static_cast<int64_t>(raw));
      }
      case PickleOpcode::LONG1:
        return PushLong(1);
      case PickleOpcode::LONG4:
        return PushLong(4);

      case PickleOpcode::FLOAT:
        return PushDecimalReal();
      case PickleOpcode::BINFLOAT:
        return PushBinaryReal();

      case PickleOpcode::STRING:
        return PushEscaped(Kind::kBytes);
      case PickleOpcode::UNICODE:
        return PushEscaped(Kind::kText);
      case PickleOpcode::SHORT_BINSTRING:
      case PickleOpcode::SHORT_BINBYTES:
        return PushCounted(Kind::kBytes, 1);
      case PickleOpcode::BINSTRING:
      case PickleOpcode::BINBYTES:
        return PushCounted(Kind::kBytes, 4);
      case PickleOpcode::BINBYTES8:
      case PickleOpcode::BYTEARRAY8:
        return PushCounted(Kind::kBytes, 8);
      case PickleOpcode::SHORT_BINUNICODE:
        return PushCounted(Kind::kText, 1);
      case PickleOpcode::BINUNICODE:
        return PushCounted(Kind::kText, 4);
      case PickleOpcode::BINUNICODE8:
        return PushCounted(Kind::kText, 8);

      case PickleOpcode::EMPTY_LIST:
        return Push(Make(Kind::kList));
      case PickleOpcode::LIST:
        return PushMarked(Kind::kList);
      case PickleOpcode::APPEND: {
        ASSIGN_OR_RETURN(const PickleValue* item, Pop());
        return AppendTo({item});
      }
      case PickleOpcode::APPENDS: {
        ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items, PopToMark());
        return AppendTo(items);
      }
      case PickleOpcode::EMPTY_DICT:
        return Push(Make(Kind::kDict));
      case PickleOpcode::DICT:
        return PushMarkedDict();
      case PickleOpcode::SETITEM: {
        ASSIGN_OR_RETURN(const PickleValue* value, Pop());
        ASSIGN_OR_RETURN(const PickleValue* key, Pop());
        return SetIn({key, value});
      }
      case PickleOpcode::SETITEMS: {
        ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items, PopToMark());
        return SetIn(items);
      }
      case PickleOpcode::EMPTY_TUPLE:
        return Push(Make(Kind::kTuple));
      case PickleOpcode::TUPLE1:
      case PickleOpcode::TUPLE2:
      case PickleOpcode::TUPLE3:
        return PushTuple(static_cast<int>(opcode) - static_cast<int>(PickleOpcode::TUPLE1) + 1);
      case PickleOpcode::TUPLE:
        return PushMarked(Kind::kTuple);

      case PickleOpcode::PUT:
      case PickleOpcode::GET: {
        ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
        uint64_t index;
        if (!absl::SimpleAtoi(line, &index)) return Refuse("has no number");
        return opcode == PickleOpcode::PUT ? Put(index) : Get(index);
      }
      case PickleOpcode::BINPUT:
      case PickleOpcode::LONG_BINPUT: {
        ASSIGN_OR_RETURN(const uint64_t index, TakeNumber(opcode == PickleOpcode::BINPUT ? 1 : 4));
        return Put(index);
      }
      case PickleOpcode::BINGET:
      case PickleOpcode::LONG_BINGET: {
        ASSIGN_OR_RETURN(const uint64_t index, TakeNumber(opcode == PickleOpcode::BINGET ? 1 : 4));
        return Get(index);
      }
      case PickleOpcode::MEMOIZE:
        return Put(memo_size());

      case PickleOpcode::GLOBAL: {
        ASSIGN_OR_RETURN(const absl::string_view module, TakeLine());
        ASSIGN_OR_RETURN(const absl::string_view name, TakeLine());
        return PushGlobal(module, name);
      }
      case PickleOpcode::STACK_GLOBAL:
        return PushStackGlobal();
      case PickleOpcode::REDUCE:
        return Reduce();
      case PickleOpcode::BUILD:
        return Build();
      case PickleOpcode::BINPERSID: {
        ASSIGN_OR_RETURN(const PickleValue* id, Pop());
        PickleValue* outside = Make(Kind::kPersistent);
        outside->items = {id};
        return Push(outside);
      }
    }
    return Refuse("is not read here");
  }

  PickleDocument* const document_;
  const absl::string_view bytes_;
  const absl::Span<const absl::string_view> globals_;
  size_t at_ = 0;
  bool stopped_ = false;
};

absl::StatusOr<std::unique_ptr<PickleDocument>> PickleDocument::ParsePrefix(
    std::string bytes, absl::Span<const absl::string_view> globals) {
  auto document = std::unique_ptr<PickleDocument>(new PickleDocument(std::move(bytes)));
  RETURN_IF_ERROR(PickleMachine(document.get(), globals).Run());
  return document;
}

absl::StatusOr<std::unique_ptr<PickleDocument>> PickleDocument::Parse(std::string bytes,
                                                                      absl::Span<const absl::string_view> globals) {
  ASSIGN_OR_RETURN(auto document, ParsePrefix(std::move(bytes), globals));
  if (document->length_ != document->bytes_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pickle ends at offset ", document->length_, ", but the file at ", document->bytes_.size()));
  }
  return document;
}

}  // namespace arcshard
