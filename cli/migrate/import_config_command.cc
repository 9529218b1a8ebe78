#include "cli/migrate/import_config_command.h"

#include "absl/strings/str_cat.h"
#include "cli/display/console.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"

namespace arcshard::cli {

ImportConfigCommand::ImportConfigCommand(CommandLine program)
    : Command(program.AddCommand("import-config", "Print the YAML file that InsightFace's config.py becomes")) {
  line()
      .Add("config", &options_.config, "A configuration of arcface_torch; it is read, never executed")
      .ValueName("config.py")
      .Required();
  line()
      .Add("--base", &options_.base, "The base.py that it is laid over; default: beside it, or a folder above")
      .ValueName("base.py");
  line()
      .Add("--gpus", &options_.gpus, "How many GPUs the run had: batch_size there is that of each one")
      .ValueName("N")
      .Within(1, 4096);
}

absl::StatusOr<int> ImportConfigCommand::Run() {
  ASSIGN_OR_RETURN(const ImportedConfig imported, ImportConfig(options_));
  RETURN_IF_ERROR(PrintData(imported.yaml));
  if (imported.without_counterpart > 0) {
    PrintNote(absl::StrCat(imported.without_counterpart,
                           " of its values have no counterpart here; comments of the output name them"));
  }
  RETURN_IF_ERROR(ParseRunConfig(imported.yaml, "the output", {}).status());  // what it still lacks, such as data.train
  return 0;
}

}  // namespace arcshard::cli
