#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

// The options of the commands of `arcshard data`.
struct DataArguments {
  std::string source;  // a data set of any format; for check also a .bin set
  std::string out;
  std::string format = "auto";
  std::string root;
  int threads = 0;  // 0: as many as the machine has cores
  int resize = 0;
  bool skip_damaged = false;
  bool force = false;
  int64_t pairs = 6000;
  int64_t folds = 10;
  uint64_t seed = 1;
  int64_t damaged_lines = 20;
};

// `arcshard data pack | unpack | pairs | check`.
class DataCommands : public Command {
 public:
  explicit DataCommands(CommandLine program);

  // The exit status is 1 if check has found damaged images.
  absl::StatusOr<int> Run() override;

 private:
  CommandLine Add(const char* name, const char* help, const char* source_help);

  DataArguments arguments_;  // before the commands: their help shows its values as defaults
  CommandLine pack_, unpack_, pairs_, check_;
};

}  // namespace arcshard::cli
