#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The main function of every test program. What a test leaves in testing::TempDir() or in the system's folder for
// temporary files is in a folder of this process, which is removed with everything in it. Tests of programs that run at
// the same time can use the same names.
int main(int argc, char** argv) {
  bool death_test = false;  // started by a test of another process, in whose folder it belongs: it does not end orderly
  for (int i = 1; i < argc; ++i) death_test |= absl::StartsWith(argv[i], "--gtest_internal_run_death_test");
  testing::InitGoogleMock(&argc, argv);
  if (death_test) return RUN_ALL_TESTS();
  std::string base = testing::TempDir();
  if (!absl::EndsWith(base, "/")) base += '/';
  std::string folder = base + "arcshard_test_XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror(folder.c_str());
    return EXIT_FAILURE;
  }
  setenv("TMPDIR", folder.c_str(), 1);
  setenv("TEST_TMPDIR", (folder + "/").c_str(), 1);  // testing::TempDir() ends with '/'
  const int result = RUN_ALL_TESTS();
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  return result;
}
