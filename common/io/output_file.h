#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"

// What a command asks about a file that it will write, before it reads anything.
namespace arcshard {

// Whether both paths lead to the same file, or would if it existed. Empty paths lead nowhere.
bool IsSameFile(const std::string& a, const std::string& b);

// Whether `path` is `folder` or lies in it, at any depth, or would if it existed.
bool IsWithin(const std::string& path, const std::string& folder);

// Whether `path` can become a file. force: it may replace one. FailedPrecondition: it is one of `inputs`, which the
// same command reads, or is there and is no regular file. AlreadyExists: it is there, and `force` is not set. NotFound
// and PermissionDenied: its folder is not there, or no file can be made in it. Messages say which.
absl::Status CheckOutputFile(const std::string& path, bool force, absl::Span<const std::string> inputs = {});

}  // namespace arcshard
