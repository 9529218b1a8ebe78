#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/io/file_system.h"

namespace arcshard {

// Makes one trace of those of several processes, `parts`, and deletes the parts afterwards; an existing file is
// replaced. A part may lack its end, as that of a process that was killed does, and a line that was cut off is left
// out. No part is deleted before the whole is there. Errors of the file system.
absl::Status MergeTraces(const std::vector<std::string>& parts, const std::string& path, FileSystem* files);

}  // namespace arcshard
