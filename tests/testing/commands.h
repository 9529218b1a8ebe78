#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard {

// What a shell's command prints. The test fails if its status is not 0.
inline std::string OutputOf(const std::string& command) {
  std::FILE* const pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  char buffer[4096];
  for (size_t bytes; (bytes = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.append(buffer, bytes);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return output;
}

// The command that runs the tests' Python with these arguments: ARCSHARD_TEST_PYTHON, or what scripts/setup has made.
inline std::string PythonCommand(const std::string& arguments) {
  const char* const python = std::getenv("ARCSHARD_TEST_PYTHON");
  return absl::StrCat(python != nullptr ? python : ARCSHARD_SOURCE_DIR "/.deps/python/bin/python", " -B ", arguments);
}

}  // namespace arcshard
