#include "cli/report/report_figures.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/report/chart.h"
#include "cli/report/markup.h"

namespace arcshard::cli {
namespace {

std::string Seconds(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  return seconds < 1 ? absl::StrFormat("%.3g ms", seconds * 1000) : absl::StrFormat("%.3g s", seconds);
}

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
    for (Point& point : one.points) point.y = point.y > 0 ? point.y / (1 << 20) : std::nan("");  // 0: not reported yet
  }
  const ChartOptions options{.label = "Resident memory over the steps of the run",
                             .from_zero = true,
                             .format = [](double mib) { return absl::StrCat(ShortNumber(mib), " MiB"); }};
  return Figure("Memory", "resident", series, LineChart(options, series));
}

std::string PhaseFigure(const RunRecord& record, absl::string_view title, absl::string_view about,
                        RunRecord::Phases RunRecord::Step::*phases) {
  std::vector<Series> series;
  for (const RunRecord::Step& step : record.steps) {
    for (const auto& phase : step.*phases) {
      const auto same = [&](const Series& one) { return one.name == phase.first; };
      if (std::none_of(series.begin(), series.end(), same)) series.push_back({.name = phase.first});
    }
  }
  for (Series& one : series) {
    for (const RunRecord::Step& step : record.steps) {
      double of_step = (step.*phases).empty() ? std::nan("") : 0.0;  // nobody has said where that step went
      for (const auto& [name, seconds] : step.*phases) of_step += name == one.name ? seconds : 0;
      one.points.push_back({static_cast<double>(step.step), of_step});
    }
  }
  const ChartOptions options{.label = absl::StrCat(title, " over the steps of the run"), .format = Seconds};
  return Figure(title, about, series, StackedChart(options, series));
}

}  // namespace

std::string ReportFigures(const RunRecord& record) {
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

}  // namespace arcshard::cli
