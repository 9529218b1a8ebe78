// The main function of arcshard, which trains on this machine, shows the status and health of a run and reports on it,
// applies and exports trained backbones, prepares data, makes certificates, explains configurations; and of
// arcshard-model, to which it hands over what computes with LibTorch (cli/command/model_program.h).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/command/command.h"
#include "cli/commands.h"
#include "cli/display/console.h"
#include "common/net/descriptors.h"
#include "common/program/command_line.h"
#include "common/program/first_process.h"
#include "common/program/standard_output.h"
#include "common/program/working_directory.h"
#include "common/rpc/endpoint.h"

namespace arcshard::cli {
namespace {

constexpr int kFailed = 1;

// Opens descriptors 0, 1 and 2 if the caller has closed them: otherwise the next file that is opened becomes stdout.
void OccupyStandardDescriptors() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int Fail(const absl::Status& error, int exit_status) {
  PrintError(error.message());
  return exit_status;
}

// The exit status of a command or a help that printed its result: a failure if not all of it was written.
int AfterPrinting(int exit_status) {
  if (exit_status != 0) return exit_status;
  const absl::Status written = FlushStandardOutput();
  return written.ok() ? exit_status : Fail(written, kFailed);
}

int Main(const std::vector<std::string>& arguments) {
  CommandLineParser parser("arcshard", "arcshard: margin-softmax training with the classes sharded over servers.",
                           "arcshard " ARCSHARD_VERSION);
  const std::vector<std::unique_ptr<Command>> commands = MakeCommands(parser.root());
  parser.AddHelpCommands();
  const absl::StatusOr<CommandLineParser::Outcome> outcome = parser.Parse(arguments);
  if (!outcome.ok()) return Fail(outcome.status(), kUsageError);
  if (*outcome == CommandLineParser::Outcome::kHelpShown) return AfterPrinting(0);
  for (const std::unique_ptr<Command>& command : commands) {
    if (!command->given()) continue;
    if (const absl::Status usage = command->Check(); !usage.ok()) return Fail(usage, kUsageError);
    const absl::StatusOr<int> exit_status = command->Run();
    if (!exit_status.ok()) return Fail(exit_status.status(), kFailed);
    return command->prints_result() ? AfterPrinting(*exit_status) : *exit_status;
  }
  return kUsageError;  // not reached: the parser accepts no command line without a command
}

}  // namespace
}  // namespace arcshard::cli

int main(int argc, char** argv) {
  arcshard::cli::OccupyStandardDescriptors();
  arcshard::PrepareGrpc();
  arcshard::RaiseDescriptorLimit();
  arcshard::EndOnSignalsAsFirstProcess();
  return arcshard::cli::Main(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}
