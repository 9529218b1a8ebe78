#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/command/command.h"
#include "common/program/security_options.h"

namespace arcshard::cli {

// `arcshard healthcheck coordinator|shard|worker`, for containers, whose engines run it every few seconds. It is a
// command of arcshard because loading a program with LibTorch, as those of shards and workers are, takes much more time
// than the check.
class HealthcheckCommand : public Command {
 public:
  explicit HealthcheckCommand(CommandLine program);

  absl::Status Check() const override;
  absl::StatusOr<int> Run() override;
  bool prints_result() const override { return false; }

 private:
  std::string role_;
  std::string address_;  // empty: that of the role
  std::string timeout_ = "5s";
  SecurityOptions security_;
};

}  // namespace arcshard::cli
