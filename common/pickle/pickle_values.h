#pragma once

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
  // bytes, str of Python 2, bytearray, `_codecs.encode(text, 'latin1')`, an array of uint8.
  absl::StatusOr<absl::string_view> Bytes(const PickleValue& value);

  // A bool, 0 or 1, a NumPy bool.
  absl::StatusOr<bool> Bool(const PickleValue& value);

  // The bools in a list, a tuple or a NumPy array.
  absl::StatusOr<std::vector<bool>> Bools(const PickleValue& value);

 private:
  // Bytes in all forms but arrays.
  absl::StatusOr<absl::string_view> PlainBytes(const PickleValue& value);
  // A text as Latin-1, which is decoded only once.
  absl::StatusOr<absl::string_view> Latin1(const PickleValue& text);
  // The elements, of one byte each, of a NumPy array or scalar whose type is one of `types`.
  absl::StatusOr<absl::string_view> Elements(const PickleValue& value, absl::Span<const absl::string_view> types);

  std::deque<std::string> decoded_;
  absl::flat_hash_map<const PickleValue*, absl::string_view> latin1_;
};

}  // namespace arcshard
