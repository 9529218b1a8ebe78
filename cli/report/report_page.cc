#include "cli/report/report_page.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/report/chart.h"
#include "cli/report/markup.h"
#include "cli/report/report_style.h"
#include "common/config/load_config.h"

namespace arcshard::cli {
namespace {

std::string Utc(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone()); }

std::string Took(absl::Duration duration) {
  return duration < absl::Seconds(1) ? "0s" : absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

std::string Seconds(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  return seconds < 1 ? absl::StrFormat("%.3g ms", seconds * 1000) : absl::StrFormat("%.3g s", seconds);
}

std::string Fixed(double value, int digits) {
  return std::isfinite(value) ? absl::StrFormat("%.*f", digits, value) : "-";
}

// The last part of the folder's path.
std::string NameOf(const std::string& run_folder) {
  const size_t slash = run_folder.find_last_of('/');
  return slash == std::string::npos ? run_folder : run_folder.substr(slash + 1);
}

// --- What the run did

std::string Heading(const ReportInputs& inputs) {
  const RunRecord& record = inputs.record;
  std::string html = absl::StrCat("<h1>", Escape(NameOf(inputs.run_folder)), "</h1>\n<p class=\"soft\">",
                                  Escape(inputs.run_folder), "</p>\n");
  if (record.lives.empty()) return html;
  const RunRecord::Life& life = record.lives.back();
  const bool known = life.outcome == "finished" || life.outcome == "stopped" || life.outcome == "failed";
  absl::StrAppend(&html, "<p><span class=\"outcome ", known ? life.outcome : "progress", "\">",
                  known ? life.outcome : "in progress, or cut off", "</span> <span class=\"soft\">began ",
                  Utc(life.began), ", last heard of ", Utc(life.last),
                  life.config.empty() ? "" : absl::StrCat(", ", Escape(life.config)),
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
  absl::StrAppend(&html, Tile("Epochs", Fixed(last.epoch, 2)), Tile("Loss", Fixed(last.loss, 4)),
                  Tile("Target cosine", Fixed(last.target_cosine, 4)));
  double best = -1;
  uint64_t best_step = 0;
  for (const RunRecord::Verification& verification : record.verifications) {
    const double mean = MeanAccuracy(verification.sets);
    if (mean > best) {
      best = mean;
      best_step = verification.step;
    }
  }
  if (best >= 0) absl::StrAppend(&html, Tile("Best accuracy", Fixed(best, 4), absl::StrCat("step ", best_step)));
  std::vector<double> rates;
  for (const RunRecord::Step& step : record.steps) {
    if (step.samples_per_second > 0) rates.push_back(step.samples_per_second);
  }
  if (!rates.empty()) {
    std::nth_element(rates.begin(), rates.begin() + static_cast<ptrdiff_t>(rates.size() / 2), rates.end());
    absl::StrAppend(&html, Tile("Samples/s", ShortNumber(rates[rates.size() / 2]), "median"));
  }
  absl::StrAppend(&html, Tile("Time", Took(record.lives.back().last - record.lives.back().began)));
  if (record.num_classes > 0) absl::StrAppend(&html, Tile("Classes", absl::StrCat(record.num_classes)));
  if (last.skipped > 0) absl::StrAppend(&html, Tile("Skipped steps", absl::StrCat(last.skipped)));
  if (last.corrupt_records > 0) absl::StrAppend(&html, Tile("Corrupt records", absl::StrCat(last.corrupt_records)));
  return html + "</dl>\n";
}

// --- Figures

std::string Legend(const std::vector<Series>& series) {
  std::string html = "<ul class=\"legend\">";
  for (size_t i = 0; i < std::min(series.size(), kMostSeries); ++i) {
    absl::StrAppend(&html, "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"area s", i,
                    "\" width=\"10\" height=\"10\" rx=\"2\"/></svg>", Escape(series[i].name), "</li>");
  }
  if (series.size() > kMostSeries) absl::StrAppend(&html, "<li>and ", series.size() - kMostSeries, " more</li>");
  return html + "</ul>\n";
}

std::string Figure(absl::string_view title, absl::string_view about, const std::vector<Series>& series,
                   const std::string& svg) {
  return absl::StrCat("<figure>\n<figcaption>", title, " <span>", about, "</span></figcaption>\n",
                      series.size() > 1 ? Legend(series) : "", svg, "</figure>\n");
}

using Value = double RunRecord::Step::*;

Series SeriesOf(const RunRecord& record, absl::string_view name, Value value) {
  Series series{.name = std::string(name)};
  for (const RunRecord::Step& step : record.steps)
    series.points.push_back({static_cast<double>(step.step), step.*value});
  return series;
}

std::string StepFigure(const RunRecord& record, absl::string_view title, absl::string_view about, Value value,
                       bool from_zero) {
  const std::vector<Series> series = {SeriesOf(record, title, value)};
  const ChartOptions options{.label = absl::StrCat(title, " over the steps of the run"), .from_zero = from_zero};
  return Figure(title, about, series, LineChart(options, series));
}

std::string AccuracyFigure(const RunRecord& record) {
  std::vector<Series> series;
  for (const RunRecord::Verification& verification : record.verifications) {
    for (const VerificationReport& set : verification.sets) {
      auto found = std::find_if(series.begin(), series.end(), [&](const Series& s) { return s.name == set.name; });
      if (found == series.end()) found = series.insert(series.end(), {.name = set.name});
      found->points.push_back({static_cast<double>(verification.step), set.accuracy});
    }
  }
  const ChartOptions options{.label = "Verification accuracy over the steps of the run",
                             .dots = true,
                             .format = [](double value) { return absl::StrFormat("%.4g", value); }};
  return Figure("Verification accuracy", "mean over the folds, by set", series, LineChart(options, series));
}

std::string MemoryFigure(const RunRecord& record) {
  std::vector<Series> series = {SeriesOf(record, "largest worker", &RunRecord::Step::worker_bytes),
                                SeriesOf(record, "largest shard", &RunRecord::Step::shard_bytes)};
  for (Series& one : series) {
    for (Point& point : one.points) point.y /= 1 << 20;
  }
  const ChartOptions options{.label = "Resident memory over the steps of the run",
                             .from_zero = true,
                             .format = [](double mib) { return absl::StrCat(ShortNumber(mib), " MiB"); }};
  return Figure("Memory", "resident", series, LineChart(options, series));
}

std::string PhaseFigure(const RunRecord& record, absl::string_view title, absl::string_view about,
                        RunRecord::Phases RunRecord::Step::*phases) {
  std::vector<Series> series;
  std::vector<const RunRecord::Step*> told;
  for (const RunRecord::Step& step : record.steps) {
    if ((step.*phases).empty()) continue;
    told.push_back(&step);
    for (const auto& phase : step.*phases) {
      const auto same = [&](const Series& one) { return one.name == phase.first; };
      if (std::none_of(series.begin(), series.end(), same)) series.push_back({.name = phase.first});
    }
  }
  for (Series& one : series) {
    for (const RunRecord::Step* step : told) {
      double of_step = 0;
      for (const auto& [name, seconds] : step->*phases) of_step += name == one.name ? seconds : 0;
      one.points.push_back({static_cast<double>(step->step), of_step});
    }
  }
  const ChartOptions options{.label = absl::StrCat(title, " over the steps of the run"), .format = Seconds};
  return Figure(title, about, series, StackedChart(options, series));
}

std::string Figures(const RunRecord& record) {
  return absl::StrCat(
      "<h2>Training</h2>\n<div class=\"figures\">\n",
      StepFigure(record, "Loss", "mean over a step's batch", &RunRecord::Step::loss, false),
      StepFigure(record, "Target cosine", "between an embedding and its class center", &RunRecord::Step::target_cosine,
                 false),
      AccuracyFigure(record), StepFigure(record, "Learning rate", "", &RunRecord::Step::lr, true),
      "</div>\n<h2>Speed</h2>\n<div class=\"figures\">\n",
      StepFigure(record, "Throughput", "samples per second over the last 32 steps",
                 &RunRecord::Step::samples_per_second, true),
      MemoryFigure(record),
      PhaseFigure(record, "Where a worker's step goes", "mean over the workers", &RunRecord::Step::worker),
      PhaseFigure(record, "Where a shard's step goes", "mean over the shards; the rest of a step it waits",
                  &RunRecord::Step::shard),
      "</div>\n");
}

// --- Tables

using Cells = std::vector<std::string>;  // escaped

std::string Row(absl::string_view element, const Cells& cells, size_t words, absl::string_view attributes = "") {
  std::string html = absl::StrCat("<tr", attributes, ">");
  for (size_t i = 0; i < cells.size(); ++i) {
    absl::StrAppend(&html, "<", element, i < words ? " class=\"words\">" : ">", cells[i], "</", element, ">");
  }
  return html + "</tr>\n";
}

std::string Table(const Cells& heads, size_t words, const std::string& rows) {
  return absl::StrCat("<div class=\"card\"><table>\n<thead>\n", Row("th", heads, words), "</thead>\n<tbody>\n", rows,
                      "</tbody>\n</table></div>\n");
}

std::string RatesOf(const VerificationReport& set) {
  std::string text;
  for (const AcceptRate& rate : set.accept_rates) {
    const std::string far = absl::StrReplaceAll(absl::StrFormat("%.0e", rate.far), {{"e-0", "e-"}});
    absl::StrAppend(&text, text.empty() ? "" : ", ", Fixed(rate.tar, 4), " at ", far);
  }
  return text.empty() ? "-" : text;
}

std::string Verifications(const RunRecord& record) {
  if (record.verifications.empty()) return "";
  double best = -1;
  for (const auto& verification : record.verifications) best = std::max(best, MeanAccuracy(verification.sets));
  std::string rows;
  for (auto verification = record.verifications.rbegin(); verification != record.verifications.rend(); ++verification) {
    const bool is_best = MeanAccuracy(verification->sets) == best;
    for (const VerificationReport& set : verification->sets) {
      rows += Row("td",
                  {Escape(set.name), absl::StrCat(verification->step),
                   absl::StrCat(Fixed(set.accuracy, 4), " ± ", Fixed(set.std, 4)), Fixed(set.threshold, 2),
                   Fixed(set.overall_accuracy, 4), RatesOf(set), absl::StrCat(set.pairs), Fixed(set.xnorm, 2)},
                  1, is_best ? " class=\"best\"" : "");
    }
  }
  return "<h2>Verification</h2>\n" +
         Table({"set", "step", "accuracy (folds)", "threshold", "accuracy (all pairs)", "TAR at FAR", "pairs", "xnorm"},
               1, rows);
}

// The ranges as a bar of N classes.
std::string RangeBar(const RunRecord& record) {
  std::string svg =
      "<svg class=\"ranges\" viewBox=\"0 0 1000 22\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"How the classes lie on the shards\">";
  size_t i = 0;
  for (const RunRecord::Member& member : record.members) {
    if (member.range.size() == 0 || member.range.end > record.num_classes) continue;
    const double classes = static_cast<double>(record.num_classes);
    absl::StrAppendFormat(&svg,
                          "<rect class=\"area s%d\" x=\"%.3f\" y=\"0\" width=\"%.3f\" height=\"22\"><title>%s %d: %d "
                          "classes</title></rect>",
                          i++ % kMostSeries, 1000.0 * static_cast<double>(member.range.begin) / classes,
                          1000.0 * static_cast<double>(member.range.size()) / classes, Escape(member.role), member.id,
                          member.range.size());
  }
  return svg + "</svg>\n";
}

std::string Members(const RunRecord& record) {
  if (record.members.empty()) return "";
  std::string rows;
  for (const RunRecord::Member& member : record.members) {
    const bool shard = member.role == "shard";
    rows +=
        Row("td",
            {absl::StrCat(Escape(member.role), " ", member.id), Escape(member.host), Escape(member.address),
             absl::StrCat(member.pid), shard ? absl::StrCat("[", member.range.begin, ", ", member.range.end, ")") : "-",
             shard ? absl::StrCat(member.range.size()) : "-", ShortBytes(static_cast<double>(member.capacity_bytes))},
            3);
  }
  return absl::StrCat("<h2>Members</h2>\n", record.num_classes > 0 ? RangeBar(record) : "",
                      Table({"member", "host", "address", "pid", "class range", "classes", "capacity"}, 3, rows));
}

std::string Lives(const RunRecord& record) {
  if (record.lives.size() < 2) return "";
  std::string rows;
  for (const RunRecord::Life& life : record.lives) {
    rows += Row(
        "td",
        {Utc(life.began), Escape(life.host), life.outcome.empty() ? "no end is written" : Escape(life.outcome),
         Escape(life.sentence), absl::StrCat(life.incarnation), absl::StrCat(life.step), Took(life.last - life.began)},
        4);
  }
  return "<h2>Starts in this folder</h2>\n<p class=\"soft\">What a later start decided again stands in place of what "
         "an "
         "earlier one did.</p>\n" +
         Table({"began", "host", "outcome", "", "incarnation", "last step", "took"}, 4, rows);
}

// --- Configuration

// The lines of `yaml`; each with its section before it, so that keys of one name differ.
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
  absl::StrAppend(&html, "<p class=\"soft\">Marked: other than the default.</p>\n<div class=\"card\"><pre>");
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
      "</style>\n</head>\n<body>\n<main>\n", Heading(inputs), Tiles(record), Figures(record), Verifications(record),
      Members(record), Lives(record), Configuration(inputs), "<footer>Made by arcshard report at ", Utc(inputs.made),
      ".</footer>\n</main>\n</body>\n</html>\n");
}

}  // namespace arcshard::cli
