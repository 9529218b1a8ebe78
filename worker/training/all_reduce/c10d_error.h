#pragma once

#include <exception>
#include <string>

namespace arcshard::worker {

// What c10d says went wrong. LibTorch reports errors as exceptions with a backtrace behind the first line.
inline std::string FirstLine(const std::exception& error) {
  const std::string what = error.what();
  return what.substr(0, what.find('\n'));
}

}  // namespace arcshard::worker
