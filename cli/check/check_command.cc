#include "cli/check/check_command.h"

#include "cli/command/model_program.h"

namespace arcshard::cli {

CheckCommand::CheckCommand(CommandLine program)
    : Command(program.AddCommand(
          "check",
          "Compute a run again from its records (run.record), and compare every bit; exit status 1 if one "
          "differs")) {
  line().Add("run", &options_.run, "The run's folder (run.folder)").ValueName("RUN").Required();
  line()
      .Add("--data", &options_.data, "The training set, where it is not at data.train of the run")
      .ValueName("FOLDER");
}

absl::StatusOr<int> CheckCommand::Run() { return HandOverToModelProgram(); }

}  // namespace arcshard::cli
