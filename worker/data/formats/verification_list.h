#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::worker {

// A verification set as PLSC has it: a text file, usually label.txt beside a folder of images, with a line
// "path <tab> path <tab> flag" for each pair. Paths count from the file's folder; flag 1: both images show the same
// class, 0: they don't. Blanks may separate the three where there is no tab. Empty lines are skipped, and so are pairs
// of files NAME_hflip.png, which PLSC's converter adds for its test with mirrored images; arcshard mirrors them itself.
struct PairList {
  std::vector<std::string> paths;  // two for each pair
  std::vector<bool> same;          // the flag of each pair
};

// InvalidArgument: a line, which the message names by its number, is not of this form, or this is no text. `path`: the
// file, whose content is `bytes`.
absl::StatusOr<PairList> ParsePairList(const std::string& path, absl::string_view bytes);

// Whether a file is such a list and no pickle, by its name or its first line.
bool IsPairList(absl::string_view path, absl::string_view text);

// Whether the file at `path` begins as such a list with tabs, so that it is no list of a training set either.
bool IsPairListWithTabs(const std::string& path);

}  // namespace arcshard::worker
