#include "cli/commands.h"

#include "cli/certs/certs_commands.h"
#include "cli/check/check_command.h"
#include "cli/checkpoint/checkpoint_commands.h"
#include "cli/data/data_commands.h"
#include "cli/export/export_commands.h"
#include "cli/healthcheck/healthcheck.h"
#include "cli/migrate/import_config_command.h"
#include "cli/model/model_commands.h"
#include "cli/plan/config.h"
#include "cli/plan/plan.h"
#include "cli/report/report.h"
#include "cli/status/status.h"
#include "cli/templates/verify_templates.h"
#include "cli/train/train.h"

namespace arcshard::cli {

std::vector<std::unique_ptr<Command>> MakeCommands(CommandLine program) {
  return MakeAll<TrainCommand, VerifyCommand, VerifyTemplatesCommand, EmbedCommand, PlanCommand, StatusCommand,
                 HealthcheckCommand, ReportCommand, DataCommands, CertsCommands, CheckpointCommands, CheckCommand,
                 ExportCommands, ConfigCommand, ImportConfigCommand>(program);
}

}  // namespace arcshard::cli
