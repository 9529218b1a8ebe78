#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace arcshard {

// All opcodes of Python's pickle protocols 0 to 5, with their names from Lib/pickletools.py: READ or REFUSED here. The
// formatter is off because it would indent every line further.
// clang-format off
#define ARCSHARD_PICKLE_OPCODES(READ, REFUSED) \
  READ(MARK, '(') READ(STOP, '.') READ(POP, '0') READ(POP_MARK, '1') READ(DUP, '2') \
  READ(FLOAT, 'F') READ(INT, 'I') READ(BININT, 'J') READ(BININT1, 'K') READ(LONG, 'L') \
  READ(BININT2, 'M') READ(NONE, 'N') REFUSED(PERSID, 'P') READ(BINPERSID, 'Q') READ(REDUCE, 'R') \
  READ(STRING, 'S') READ(BINSTRING, 'T') READ(SHORT_BINSTRING, 'U') READ(UNICODE, 'V') \
  READ(BINUNICODE, 'X') READ(APPEND, 'a') READ(BUILD, 'b') READ(GLOBAL, 'c') READ(DICT, 'd') \
  READ(EMPTY_DICT, '}') READ(APPENDS, 'e') READ(GET, 'g') READ(BINGET, 'h') REFUSED(INST, 'i') \
  READ(LONG_BINGET, 'j') READ(LIST, 'l') READ(EMPTY_LIST, ']') REFUSED(OBJ, 'o') READ(PUT, 'p') \
  READ(BINPUT, 'q') READ(LONG_BINPUT, 'r') READ(SETITEM, 's') READ(TUPLE, 't') \
  READ(EMPTY_TUPLE, ')') READ(SETITEMS, 'u') READ(BINFLOAT, 'G') READ(BINBYTES, 'B') \
  READ(SHORT_BINBYTES, 'C') READ(PROTO, 0x80) REFUSED(NEWOBJ, 0x81) REFUSED(EXT1, 0x82) \
  REFUSED(EXT2, 0x83) REFUSED(EXT4, 0x84) READ(TUPLE1, 0x85) READ(TUPLE2, 0x86) READ(TUPLE3, 0x87) \
  READ(NEWTRUE, 0x88) READ(NEWFALSE, 0x89) READ(LONG1, 0x8a) READ(LONG4, 0x8b) \
  READ(SHORT_BINUNICODE, 0x8c) READ(BINUNICODE8, 0x8d) READ(BINBYTES8, 0x8e) REFUSED(EMPTY_SET, 0x8f) \
  REFUSED(ADDITEMS, 0x90) REFUSED(FROZENSET, 0x91) REFUSED(NEWOBJ_EX, 0x92) READ(STACK_GLOBAL, 0x93) \
  READ(MEMOIZE, 0x94) READ(FRAME, 0x95) READ(BYTEARRAY8, 0x96) REFUSED(NEXT_BUFFER, 0x97) \
  REFUSED(READONLY_BUFFER, 0x98)
// clang-format on

#define ARCSHARD_PICKLE_ENUMERATOR(name, code) name = code,
#define ARCSHARD_PICKLE_NOTHING(name, code)
// The opcodes that are read.
enum class PickleOpcode : uint8_t { ARCSHARD_PICKLE_OPCODES(ARCSHARD_PICKLE_ENUMERATOR, ARCSHARD_PICKLE_NOTHING) };
#undef ARCSHARD_PICKLE_ENUMERATOR
#undef ARCSHARD_PICKLE_NOTHING

// The opcode's name; empty if the byte is not an opcode.
constexpr absl::string_view PickleOpcodeName(uint8_t byte) {
#define ARCSHARD_PICKLE_CASE(name, code) \
  case code:                             \
    return #name;
  switch (byte) {
    ARCSHARD_PICKLE_OPCODES(ARCSHARD_PICKLE_CASE, ARCSHARD_PICKLE_CASE)
    default:
      return "";
  }
#undef ARCSHARD_PICKLE_CASE
}

}  // namespace arcshard
