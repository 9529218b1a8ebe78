#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

// What a lost block of a disk or of a download leaves in a JPEG: zeros, which libjpeg decodes as pixels without a word.
namespace arcshard::worker {

// The length of the first run of at least `least` zero bytes; 0: there is none. The zero that follows a byte of 255, as
// it does in the data of a JPEG, does not count.
size_t FirstRunOfZeros(absl::string_view bytes, size_t least);

// The same in the data of all scans, without zeros that fill the space before the end marker. In the tables between the
// scans, which have zeros of their own, only longer runs count. `bytes`: from the data of the first scan to the end of
// the file.
size_t FirstRunOfZerosInScans(absl::string_view bytes, size_t least);

}  // namespace arcshard::worker
