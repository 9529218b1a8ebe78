#pragma once

#include "absl/status/statusor.h"
#include "cli/command/command.h"
#include "cli/model/embed.h"
#include "cli/model/verify.h"

// The commands that apply a trained backbone, as arcshard and arcshard-model declare them. Run hands over to
// arcshard-model (model_program.h), where derived classes do the work.
namespace arcshard::cli {

// `arcshard embed`.
class EmbedCommand : public Command {
 public:
  explicit EmbedCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 protected:
  const EmbedCommandOptions& options() const { return options_; }

 private:
  EmbedCommandOptions options_;
};

// `arcshard verify`.
class VerifyCommand : public Command {
 public:
  explicit VerifyCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 protected:
  const VerifyOptions& options() const { return options_; }

 private:
  VerifyOptions options_;
};

}  // namespace arcshard::cli
