#pragma once

#include "absl/status/statusor.h"
#include "cli/check/check_options.h"
#include "cli/command/command.h"

namespace arcshard::cli {

// `arcshard check`, as arcshard and arcshard-model declare it. Run hands over to arcshard-model, where a derived class
// does the work.
class CheckCommand : public Command {
 public:
  explicit CheckCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 protected:
  const CheckOptions& options() const { return options_; }

 private:
  CheckOptions options_;
};

}  // namespace arcshard::cli
