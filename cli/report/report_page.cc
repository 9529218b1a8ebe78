#include "cli/report/report_page.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/report/markup.h"
#include "cli/report/report_figures.h"
#include "cli/report/report_style.h"
#include "cli/report/report_tables.h"
#include "common/config/load_config.h"
#include "common/text/readable_number.h"

namespace arcshard::cli {
namespace {

// The last component of the folder's path.
std::string NameOf(const std::string& run_folder) {
  const size_t slash = run_folder.find_last_of('/');
  return slash == std::string::npos ? run_folder : run_folder.substr(slash + 1);
}

std::string Heading(const ReportInputs& inputs) {
  const RunRecord& record = inputs.record;
  std::string html = absl::StrCat("<h1>", Escape(NameOf(inputs.run_folder)), "</h1>\n<p class=\"soft\">",
                                  Escape(inputs.run_folder), "</p>\n");
  if (record.lives.empty()) return html;
  const RunRecord::Life& life = record.lives.back();
  const bool known = life.outcome == "finished" || life.outcome == "stopped" || life.outcome == "failed";
  absl::StrAppend(&html, "<p><span class=\"outcome ", known ? life.outcome : "progress", "\">",
                  known ? life.outcome : "in progress, or interrupted", "</span> <span class=\"soft\">began ",
                  UtcTime(record.lives[record.lives.size() - record.starts()].began), ", last report ",
                  UtcTime(life.last), life.config.empty() ? "" : absl::StrCat(", ", Escape(life.config)),
                  life.version.empty() ? "" : absl::StrCat(", arcshard ", Escape(life.version)), "</span></p>\n");
  if (!life.sentence.empty()) absl::StrAppend(&html, "<p class=\"note\">", Escape(life.sentence), "</p>\n");
  if (record.damaged_lines > 0) {
    absl::StrAppend(&html, "<p class=\"note\">metrics.jsonl has damaged lines (", record.damaged_lines,
                    "), which are not in this report. ");
    for (const std::string& damage : record.damaged) absl::StrAppend(&html, Escape(damage), ". ");
    absl::StrAppend(&html, "</p>\n");
  }
  return html;
}

std::string Tile(absl::string_view name, absl::string_view value, absl::string_view beside = "") {
  return absl::StrCat("<div><dt>", name, "</dt><dd>", value,
                      beside.empty() ? "" : absl::StrCat(" <small>", beside, "</small>"), "</dd></div>\n");
}

std::string Tiles(const RunRecord& record) {
  if (record.steps.empty()) return "";
  const RunRecord::Step& last = record.steps.back();
  std::string html = "<dl class=\"tiles\">\n";
  absl::StrAppend(&html, Tile("Steps", absl::StrCat(last.step),
                              record.planned_steps > 0 ? absl::StrCat("of ", record.planned_steps) : ""));
  absl::StrAppend(&html, Tile("Epochs", std::isfinite(last.epoch) ? ReadableEpochs(last.epoch, last.epoch) : "-"),
                  Tile("Loss", FixedNumber(last.loss, 4)), Tile("Target cosine", FixedNumber(last.target_cosine, 4)));
  if (!record.best.sets.empty()) {
    const size_t sets = record.best.sets.size();
    absl::StrAppend(&html, Tile("Best accuracy", FixedNumber(record.best.accuracy, 4),
                                absl::StrCat("step ", record.best.step,
                                             sets > 1 ? absl::StrCat(", mean of ", sets, " sets") : "")));
  }
  std::vector<double> rates;
  for (const RunRecord::Step& step : record.steps) {
    if (step.samples_per_second > 0) rates.push_back(step.samples_per_second);
  }
  if (!rates.empty()) {
    std::nth_element(rates.begin(), rates.begin() + static_cast<ptrdiff_t>(rates.size() / 2), rates.end());
    absl::StrAppend(&html, Tile("Samples/s", ShortNumber(rates[rates.size() / 2]), "median"));
  }
  absl::StrAppend(&html, Tile("Time", WholeSecondsOf(record.took()),
                              record.starts() > 1 ? absl::StrCat(record.starts(), " starts") : ""));
  if (record.num_classes > 0) absl::StrAppend(&html, Tile("Classes", absl::StrCat(record.num_classes)));
  if (!record.recoveries.empty()) {
    const uint64_t lost = record.lost_steps();
    absl::StrAppend(&html, Tile("Recoveries", absl::StrCat(record.recoveries.size()),
                                lost == 0 ? "no step was lost" : absl::StrCat(lost, " steps lost")));
  }
  if (last.skipped > 0) absl::StrAppend(&html, Tile("Skipped steps", absl::StrCat(last.skipped)));
  if (last.corrupt_records > 0) absl::StrAppend(&html, Tile("Corrupt records", absl::StrCat(last.corrupt_records)));
  return html + "</dl>\n";
}

// The lines of `yaml`, each preceded by its section, so that equal keys of different sections differ.
std::vector<std::string> KeyedLines(absl::string_view yaml) {
  std::vector<std::string> keyed;
  std::string section;
  for (const absl::string_view line : absl::StrSplit(yaml, '\n')) {
    if (!line.empty() && line[0] != ' ') section = std::string(line);
    keyed.push_back(absl::StrCat(section, "|", line));
  }
  return keyed;
}

std::string Configuration(const ReportInputs& inputs) {
  std::string html = "<h2>Configuration</h2>\n";
  if (!inputs.config_missing.empty()) {
    return absl::StrCat(html, "<p class=\"note\">", Escape(inputs.config_missing), "</p>\n");
  }
  const std::vector<std::string> usual = KeyedLines(ToYaml(RunConfig()));
  const std::set<std::string> defaults(usual.begin(), usual.end());
  absl::StrAppend(&html,
                  "<p class=\"soft\">Values that differ from the default are marked.</p>\n<div class=\"card\"><pre>");
  absl::string_view yaml = inputs.config_yaml;
  while (!yaml.empty() && yaml.back() == '\n') yaml.remove_suffix(1);
  for (const std::string& keyed : KeyedLines(yaml)) {
    const absl::string_view line = absl::string_view(keyed).substr(keyed.find('|') + 1);
    const size_t comment = std::min(line.find("  # "), line.size());
    const bool changed = !defaults.contains(keyed);
    absl::StrAppend(&html, changed ? "<span class=\"changed\">" : "", Escape(line.substr(0, comment)),
                    changed ? "</span>" : "");
    if (comment < line.size()) absl::StrAppend(&html, "<span class=\"soft\">", Escape(line.substr(comment)), "</span>");
    html += "\n";
  }
  return html + "</pre></div>\n";
}

}  // namespace

std::string ReportPage(const ReportInputs& inputs) {
  const RunRecord& record = inputs.record;
  return absl::StrCat(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
      Escape(NameOf(inputs.run_folder)), " - arcshard</title>\n<style>", kReportStyle,
      "</style>\n</head>\n<body>\n<main>\n", Heading(inputs), Tiles(record), ReportFigures(record),
      VerificationTable(record), MemberTable(record), RecoveryTable(record), LifeTable(record), Configuration(inputs),
      "<footer>Made by arcshard report at ", UtcTime(inputs.made), ".</footer>\n</main>\n</body>\n</html>\n");
}

}  // namespace arcshard::cli
