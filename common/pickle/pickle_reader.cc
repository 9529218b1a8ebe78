#include "common/pickle/pickle_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_literals.h"
#include "common/pickle/pickle_opcodes.h"

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
    case Kind::kLongInt:
      return "an int of more than 64 bits";
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
    case Kind::kSet:
      return "a set";
    case Kind::kDict:
      return "a dict";
    case Kind::kGlobal:
      return "a global";
    case Kind::kObject:
      return "an object";
    case Kind::kPersistent:
      return "a persistent id";
    case Kind::kOutside:
      return "bytes outside the pickle";
  }
  return "";
}

std::string DescribePickleValue(const PickleValue& value) {
  const PickleValue* named = value.kind == Kind::kObject ? value.items[0] : &value;
  // Protocols 0 and 1 make an object by a call of this with its class.
  if (named != &value && absl::EndsWith(named->text, " _reconstructor") && !value.items[1]->items.empty()) {
    named = value.items[1]->items[0];
  }
  if (named->kind != Kind::kGlobal) return std::string(PickleKindName(value.kind));
  const std::string name = absl::StrReplaceAll(absl::CHexEscape(named->text.substr(0, 200)), {{" ", "."}});
  return absl::StrCat(value.kind == Kind::kObject ? "an object of " : "the global ", name);
}

// A pickle is a program for a stack machine; this is the machine.
class PickleMachine : private PickleLiterals {
 public:
  PickleMachine(PickleDocument* document, const PickleDocument::Globals& globals)
      : PickleLiterals(document, document->bytes_), document_(document), globals_(globals) {}

  absl::Status Run() {
    for (int64_t opcodes = 0; !stopped_; ++opcodes) {
      if (opcodes == PickleDocument::kMaxOpcodes) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", PickleDocument::kMaxOpcodes, " opcodes"));
      }
      const size_t offset = at();
      ASSIGN_OR_RETURN(const absl::string_view byte, Take(1));
      const uint8_t opcode = static_cast<uint8_t>(byte[0]);
      Begin(opcode, offset);
      RETURN_IF_ERROR(Execute(static_cast<PickleOpcode>(opcode)));
    }
    document_->length_ = at();
    return absl::OkStatus();
  }

 private:
  absl::Status PushGlobal(absl::string_view module, absl::string_view name) {
    std::string full = absl::StrCat(module, " ", name);
    if (globals_.has_value() && std::find(globals_->begin(), globals_->end(), full) == globals_->end()) {
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
  // A global by its number in a registry of the program that wrote the pickle (copyreg).
  absl::Status PushExtension(int width) {
    ASSIGN_OR_RETURN(const uint64_t code, TakeNumber(width));
    return PushGlobal("copyreg extension", absl::StrCat(code));
  }
  // INST: a global and, above a mark, arguments.
  absl::Status PushInstance() {
    ASSIGN_OR_RETURN(const absl::string_view module, TakeLine());
    ASSIGN_OR_RETURN(const absl::string_view name, TakeLine());
    RETURN_IF_ERROR(PushMarked(Kind::kTuple));
    RETURN_IF_ERROR(PushGlobal(module, name));
    ASSIGN_OR_RETURN(const PickleValue* callee, Pop());
    ASSIGN_OR_RETURN(const PickleValue* arguments, Pop());
    return PushCall(callee, arguments);
  }
  absl::Status PushPersistent(const PickleValue* id) {
    PickleValue* outside = Make(Kind::kPersistent);
    outside->items = {id};
    return Push(outside);
  }

  absl::Status Execute(PickleOpcode opcode) {
    switch (opcode) {
      case PickleOpcode::PROTO: {
        ASSIGN_OR_RETURN(const uint64_t protocol, TakeNumber(1));
        return protocol <= 5 ? absl::OkStatus() : Refuse("announces protocol ", protocol, "; 0 to 5 are read");
      }
      case PickleOpcode::FRAME: {
        ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(8));
        return length <= rest() ? absl::OkStatus() : Refuse("announces ", length, " bytes, beyond the end");
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
        return AppendTo(Kind::kList, {item});
      }
      case PickleOpcode::APPENDS: {
        ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items, PopToMark());
        return AppendTo(Kind::kList, items);
      }
      case PickleOpcode::EMPTY_SET:
        return Push(Make(Kind::kSet));
      case PickleOpcode::FROZENSET:
        return PushMarked(Kind::kSet);
      case PickleOpcode::ADDITEMS: {
        ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items, PopToMark());
        return AppendTo(Kind::kSet, items);
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
      case PickleOpcode::EXT1:
        return PushExtension(1);
      case PickleOpcode::EXT2:
        return PushExtension(2);
      case PickleOpcode::EXT4:
        return PushExtension(4);

      case PickleOpcode::REDUCE:
      case PickleOpcode::NEWOBJ:
        return Call();
      case PickleOpcode::NEWOBJ_EX: {
        RETURN_IF_ERROR(Pop().status());  // arguments by name
        return Call();
      }
      case PickleOpcode::INST:
        return PushInstance();
      case PickleOpcode::OBJ:
        return CallMarked();
      case PickleOpcode::BUILD:
        return Build();

      case PickleOpcode::PERSID: {
        ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
        PickleValue* id = Make(Kind::kText);
        id->text = line;
        return PushPersistent(id);
      }
      case PickleOpcode::BINPERSID: {
        ASSIGN_OR_RETURN(const PickleValue* id, Pop());
        return PushPersistent(id);
      }
      case PickleOpcode::NEXT_BUFFER:
        return Push(Make(Kind::kOutside));
      case PickleOpcode::READONLY_BUFFER:
        return Top().status();
    }
    return Refuse("is not one of Python's");
  }

  PickleDocument* const document_;
  const PickleDocument::Globals globals_;
  bool stopped_ = false;
};

absl::StatusOr<std::unique_ptr<PickleDocument>> PickleDocument::ParsePrefix(std::string bytes, const Globals& globals) {
  auto document = std::unique_ptr<PickleDocument>(new PickleDocument(std::move(bytes)));
  RETURN_IF_ERROR(PickleMachine(document.get(), globals).Run());
  return document;
}

absl::StatusOr<std::unique_ptr<PickleDocument>> PickleDocument::Parse(std::string bytes, const Globals& globals) {
  ASSIGN_OR_RETURN(auto document, ParsePrefix(std::move(bytes), globals));
  if (document->length_ != document->bytes_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pickle ends at offset ", document->length_, ", but the file at ", document->bytes_.size()));
  }
  return document;
}

}  // namespace arcshard
