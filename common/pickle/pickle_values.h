#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/pickle/pickle_reader.h"

namespace arcshard {

// The globals with which Python and NumPy write bytes, arrays and scalars, as "module name".
absl::Span<const absl::string_view> BytesAndArrayGlobals();

// Interprets the objects of a pickle that uses those globals. Keeps decoded texts; results are valid as long as it and
// the document live. Errors are InvalidArgument; their messages lack the subject: they continue "image 3 is ".
class PickleInterpreter {
 public:
  // bytes, str of Python 2, bytearray, `_codecs.encode(text, 'latin1')`; a NumPy array of 8-bit integers that is a row
  // or a column, or one NumPy value of bytes (numpy.bytes_, numpy.void).
  absl::StatusOr<absl::string_view> Bytes(const PickleValue& value);

  // A bool or a number that is 0 or 1, of Python or NumPy.
  absl::StatusOr<bool> Bool(const PickleValue& value);

  // The bools in a list, a tuple or a NumPy array that is a row or a column.
  absl::StatusOr<std::vector<bool>> Bools(const PickleValue& value);

  // The values in a list, a tuple or a NumPy array of objects.
  absl::StatusOr<absl::Span<const PickleValue* const>> Items(const PickleValue& value);

 private:
  // Bytes in all forms but arrays.
  absl::StatusOr<absl::string_view> PlainBytes(const PickleValue& value);
  // A text as Latin-1, which is decoded only once.
  absl::StatusOr<absl::string_view> Latin1(const PickleValue& text);
  // A NumPy array that is a row or a column, or a scalar.
  struct Elements {
    char kind = 'V';   // NumPy's: b (bool), i, u, f, S (bytes), V (void), O (objects)
    size_t width = 1;  // bytes of an element
    bool big_endian = false;
    size_t size = 0;                               // elements
    absl::string_view bytes;                       // of all elements
    absl::Span<const PickleValue* const> objects;  // for kind O, instead of the bytes

    // The element i if it is 0 or 1, for the kinds b, i, u and f.
    absl::StatusOr<bool> BoolAt(size_t i) const;
  };
  // `kinds`: those that are accepted.
  absl::StatusOr<Elements> ElementsOf(const PickleValue& value, absl::string_view kinds);
  absl::Status ReadType(const PickleValue& type, absl::string_view kinds, Elements* elements) const;

  std::deque<std::string> decoded_;
  absl::flat_hash_map<const PickleValue*, absl::string_view> latin1_;
};

}  // namespace arcshard
