#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

// `arcshard certs init | renew`.
class CertsCommands : public Command {
 public:
  explicit CertsCommands(CommandLine program);

  absl::StatusOr<int> Run() override;

 private:
  CommandLine Add(const char* name, const char* help);

  std::string folder_;
  int days_ = 365;
  bool keep_ = false;
  CommandLine init_, renew_;  // after the values, which their help shows as defaults
};

}  // namespace arcshard::cli
