#include "cli/report/report_tables.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/report/chart.h"
#include "cli/report/markup.h"

namespace arcshard::cli {
namespace {

using Cells = std::vector<std::string>;  // escaped

// words: how many of the first cells are words, aligned to the left.
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

// A cell that is as wide as is comfortable to read, and as high as it needs to be.
std::string Sentence(absl::string_view text) {
  return text.empty() ? "" : absl::StrCat("<div class=\"sentence\">", Escape(text), "</div>");
}

std::string RatesOf(const VerificationReport& set) {
  std::string text;
  for (const AcceptRate& rate : set.accept_rates) {
    const std::string far = absl::StrReplaceAll(absl::StrFormat("%.0e", rate.far), {{"e-0", "e-"}});
    absl::StrAppend(&text, text.empty() ? "" : ", ", FixedNumber(rate.tar, 4), " at ", far);
  }
  return text.empty() ? "-" : text;
}

// A bar of N classes with the ranges of the shards.
std::string RangeBar(const RunRecord& record) {
  std::string svg =
      "<svg class=\"ranges\" viewBox=\"0 0 1000 22\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"The ranges of classes on the shards\">";
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

}  // namespace

std::string VerificationTable(const RunRecord& record) {
  if (record.verifications.empty()) return "";
  std::string rows;
  for (auto verification = record.verifications.rbegin(); verification != record.verifications.rend(); ++verification) {
    const bool is_best = verification->step == record.best.step && record.best.accuracy > 0;
    for (const VerificationReport& set : verification->sets) {
      rows += Row(
          "td",
          {Escape(set.name), absl::StrCat(verification->step),
           absl::StrCat(FixedNumber(set.accuracy, 4), " ± ", FixedNumber(set.std, 4)), FixedNumber(set.threshold, 2),
           FixedNumber(set.overall_accuracy, 4), RatesOf(set), absl::StrCat(set.pairs), FixedNumber(set.xnorm, 2)},
          1, is_best ? " class=\"best\"" : "");
    }
  }
  return "<h2>Verification</h2>\n" +
         Table({"set", "step", "accuracy (folds)", "threshold", "accuracy (all pairs)", "TAR at FAR", "pairs", "xnorm"},
               1, rows);
}

std::string MemberTable(const RunRecord& record) {
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

std::string RecoveryTable(const RunRecord& record) {
  if (record.recoveries.empty()) return "";
  std::string rows;
  for (const RunRecord::Recovery& recovery : record.recoveries) {
    rows += Row("td",
                {UtcTime(recovery.ended), Escape(absl::StrJoin(recovery.lost, ", ")), Sentence(recovery.sentence),
                 absl::StrCat(recovery.step), absl::StrCat(FixedNumber(recovery.seconds, 1), " s"),
                 absl::StrCat(recovery.replayed_steps), absl::StrCat(recovery.lost_steps)},
                3);
  }
  return "<h2>Recoveries</h2>\n" +
         Table({"went on", "lost", "", "after step", "took", "replayed steps", "lost steps"}, 3, rows);
}

std::string LifeTable(const RunRecord& record) {
  if (record.lives.size() < 2) return "";
  std::string rows;
  for (const RunRecord::Life& life : record.lives) {
    rows += Row(
        "td",
        {UtcTime(life.began), Escape(life.host), life.outcome.empty() ? "no end recorded" : Escape(life.outcome),
         Sentence(life.sentence), absl::StrCat(life.incarnation), absl::StrCat(life.step), WholeSecondsOf(life.took)},
        4);
  }
  return "<h2>Starts in this folder</h2>\n<p class=\"soft\">A later start replaces the steps of "
         "earlier ones that it decided again.</p>\n" +
         Table({"began", "host", "outcome", "", "incarnation", "last step", "took"}, 4, rows);
}

}  // namespace arcshard::cli
