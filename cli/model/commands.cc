#include "cli/commands.h"

#include "absl/strings/str_cat.h"
#include "cli/check/check_command.h"
#include "cli/check/check_run.h"
#include "cli/checkpoint/checkpoint_commands.h"
#include "cli/display/console.h"
#include "cli/insightface/import_checkpoint.h"
#include "cli/model/embed.h"
#include "cli/model/model_commands.h"
#include "cli/model/verify.h"
#include "cli/plan/plan.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file_system.h"
#include "shard_server/product_choice.h"

// What arcshard-model carries out: the commands of arcshard that compute with LibTorch, declared by the same classes.
namespace arcshard::cli {
namespace {

class Embed final : public EmbedCommand {
 public:
  using EmbedCommand::EmbedCommand;
  absl::StatusOr<int> Run() override {
    RETURN_IF_ERROR(EmbedImages(options()));
    return 0;
  }
};

class Verify final : public VerifyCommand {
 public:
  using VerifyCommand::VerifyCommand;
  absl::StatusOr<int> Run() override {
    RETURN_IF_ERROR(VerifyBackbone(options()));
    return 0;
  }
};

class Check final : public CheckCommand {
 public:
  using CheckCommand::CheckCommand;
  absl::StatusOr<int> Run() override {
    const auto print = [](absl::string_view line) { return PrintText(absl::StrCat(line, "\n")); };
    ASSIGN_OR_RETURN(const bool equal, CheckRun(RealFileSystem(), options(), print));
    return equal ? 0 : 1;
  }
};

class Plan final : public PlanCommand {
 public:
  using PlanCommand::PlanCommand;
  absl::StatusOr<int> Run() override {
    return Print([](const RunConfig& config) {
      return shard::NoteOnProducts(config, shard::MeasureProducts(config, SystemClock()));
    });
  }
};

class Checkpoint final : public CheckpointCommands {
 public:
  using CheckpointCommands::CheckpointCommands;

 private:
  absl::StatusOr<std::string> Import() const override { return ImportCheckpoint(RealFileSystem(), import_options()); }
};

}  // namespace

std::vector<std::unique_ptr<Command>> MakeCommands(CommandLine program) {
  return MakeAll<Embed, Verify, Check, Plan, Checkpoint>(program);
}

}  // namespace arcshard::cli
