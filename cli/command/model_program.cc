#include "cli/command/model_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/file.h"

namespace arcshard::cli {

absl::StatusOr<int> HandOverToModelProgram() {
  const std::string program = absl::StrCat(FolderOfThisProgram(), "/arcshard-model");
  std::ifstream command_line("/proc/self/cmdline", std::ios::binary);
  std::string words{std::istreambuf_iterator<char>(command_line), {}};  // each ends with a zero byte
  if (words.ends_with('\0')) words.pop_back();
  std::vector<std::string> arguments = absl::StrSplit(words, '\0');
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::fflush(nullptr);
  execv(program.c_str(), pointers.data());
  return Annotate(ErrnoStatus(errno, program, "cannot start"),
                  "this command computes with LibTorch in another program");
}

}  // namespace arcshard::cli
