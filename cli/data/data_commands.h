#pragma once

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace arcshard::cli {

// What the commands of `arcshard data` are given.
struct DataArguments {
  std::string source;  // a data set of any format; check: a .bin set too
  std::string out;
  std::string format = "auto";
  std::string root;
  int threads = 0;  // 0: as many as the machine has
  int resize = 0;
  bool skip_damaged = false;
  bool force = false;
  int64_t pairs = 6000;
  int64_t folds = 10;
  uint64_t seed = 1;
  int64_t damaged_lines = 20;
};

// `arcshard data pack | unpack | pairs | check`.
class DataCommands {
 public:
  // Adds them to `app`, which must outlive this.
  explicit DataCommands(CLI::App* app);

  bool parsed() const { return data_->parsed(); }
  // Prints what was done; the exit status: 1 where check found something damaged.
  absl::StatusOr<int> Run() const;

 private:
  CLI::App* Add(const char* name, const char* help);

  CLI::App* data_;
  CLI::App* pack_;
  CLI::App* unpack_;
  CLI::App* pairs_;
  CLI::App* check_;
  DataArguments arguments_;
};

}  // namespace arcshard::cli
