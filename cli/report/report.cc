#include "cli/report/report.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/display/console.h"
#include "cli/report/report_page.h"
#include "cli/report/run_record.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/output_file.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kReportBegins = "<!DOCTYPE html>";

}  // namespace

absl::Status WriteReport(const ReportOptions& options) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(options.run_folder, error);
  if (error || !std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(options.run_folder, ": there is no such run folder"));
  }
  const std::string metrics = (folder / "metrics.jsonl").string();
  absl::StatusOr<std::string> lines = ReadFile(metrics);
  if (absl::IsNotFound(lines.status())) {
    return absl::NotFoundError(
        absl::StrCat(folder.string(), " has no metrics.jsonl: no coordinator has run with this as its run.folder"));
  }
  RETURN_IF_ERROR(lines.status());

  ReportInputs inputs = {
      .run_folder = folder.string(), .record = ReadRunRecord(*lines), .made = SystemClock().WallTime()};
  absl::StatusOr<std::string> config = ReadFile((folder / "config.yaml").string());
  if (config.ok()) {
    inputs.config_yaml = *std::move(config);
  } else {
    inputs.config_missing = std::string(config.status().message());
  }
  for (const std::string& damage : inputs.record.damaged) {
    PrintNote(absl::StrCat(metrics, " is damaged and is skipped, ", damage));
  }
  if (inputs.record.damaged_lines > inputs.record.damaged.size()) {
    PrintNote(absl::StrCat(metrics, " has ", inputs.record.damaged_lines, " damaged lines in all"));
  }
  const std::string output = options.output.empty() ? (folder / "report.html").string() : options.output;
  RETURN_IF_ERROR(CheckOutputFile(output, /*force=*/true, {metrics, (folder / "config.yaml").string()}));
  if (std::filesystem::exists(output, error) && !absl::StartsWith(ReadFile(output).value_or(""), kReportBegins)) {
    return absl::AlreadyExistsError(absl::StrCat(output, " exists already and is no report: it is not replaced"));
  }
  RETURN_IF_ERROR(WriteFileAtomically(output, ReportPage(inputs)));
  return PrintText(absl::StrCat("report: ", PrintableLine(output), "\n"));
}

ReportCommand::ReportCommand(CommandLine program)
    : Command(program.AddCommand("report", "Write one HTML page about a run that is in progress or has ended")) {
  line().Add("run", &options_.run_folder, "The run's folder (run.folder)").ValueName("folder").Required();
  line()
      .Add("-o,--output", &options_.output, "File for the page; default: report.html in the run's folder")
      .ValueName("report.html");
}

absl::StatusOr<int> ReportCommand::Run() {
  RETURN_IF_ERROR(WriteReport(options_));
  return 0;
}

}  // namespace arcshard::cli
