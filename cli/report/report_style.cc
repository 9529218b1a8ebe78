#include "cli/report/report_style.h"

namespace arcshard::cli {

const absl::string_view kReportStyle = R"css(
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16191d; --soft: #5b6470; --rule: #dfe3e8; --grid: #e8ebef;
  --good: #0a7a3f; --bad: #b3261e; --busy: #8a5a00; --mark: #fff3cd;
  --s0: #2a78d6; --s1: #1baf7a; --s2: #eda100; --s3: #008300; --s4: #4a3aa7; --s5: #e34948; --s6: #e87ba4; --s7: #eb6834; }
@media (prefers-color-scheme: dark) { :root {
  --page: #121417; --card: #1b1e22; --ink: #e9ecef; --soft: #9aa4b0; --rule: #31363d; --grid: #2a2f35;
  --good: #5ccf8e; --bad: #ff8a80; --busy: #f0b429; --mark: #3d3518;
  --s0: #3987e5; --s1: #199e70; --s2: #c98500; --s3: #3fae3f; --s4: #9085e9; --s5: #e66767; --s6: #d55181; --s7: #d95926; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 12px; }
p { margin: 6px 0; }
.soft { color: var(--soft); }
.outcome { font-weight: 600; }
.finished { color: var(--good); } .failed { color: var(--bad); } .stopped, .progress { color: var(--busy); }
.note { background: var(--mark); border-radius: 8px; padding: 10px 14px; margin: 14px 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 20px 0; padding: 0; }
.tiles div, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tiles div { padding: 12px 14px; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { overflow-wrap: anywhere; margin: 0; font-size: 22px; line-height: 1.3; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: 13px; font-weight: 400; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 16px 8px; min-width: 0; }
figcaption { font-weight: 600; }
figcaption span { font-weight: 400; color: var(--soft); font-size: 13px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 4px 0; padding: 0; list-style: none; font-size: 13px; color: var(--soft); }
.legend svg { width: 10px; height: 10px; margin-right: 6px; }
figure > svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .dot { stroke: var(--card); stroke-width: 2; }
svg .band { opacity: 0.16; }
svg .area { stroke: var(--card); stroke-width: 1; }
svg .hit { fill: none; pointer-events: all; }
svg .tip { visibility: hidden; pointer-events: none; }
svg .at:hover .tip { visibility: visible; }
svg .tip > line { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .tip > rect:not(.area) { fill: var(--card); stroke: var(--rule); }
svg .tip text { fill: var(--ink); }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); } .line.s2 { stroke: var(--s2); } .line.s3 { stroke: var(--s3); }
.line.s4 { stroke: var(--s4); } .line.s5 { stroke: var(--s5); } .line.s6 { stroke: var(--s6); } .line.s7 { stroke: var(--s7); }
.dot.s0, .band.s0, .area.s0 { fill: var(--s0); } .dot.s1, .band.s1, .area.s1 { fill: var(--s1); }
.dot.s2, .band.s2, .area.s2 { fill: var(--s2); } .dot.s3, .band.s3, .area.s3 { fill: var(--s3); }
.dot.s4, .band.s4, .area.s4 { fill: var(--s4); } .dot.s5, .band.s5, .area.s5 { fill: var(--s5); }
.dot.s6, .band.s6, .area.s6 { fill: var(--s6); } .dot.s7, .band.s7, .area.s7 { fill: var(--s7); }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
th.words, td.words { text-align: left; }
.sentence { white-space: normal; overflow-wrap: anywhere; min-width: 16em; max-width: 40em; }
tr:last-child td { border-bottom: 0; }
tr.best td { font-weight: 600; }
.ranges { display: block; width: 100%; height: 22px; margin-bottom: 12px; }
pre { margin: 0; padding: 14px 16px; font: 13px/1.55 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre .changed { background: var(--mark); }
pre .soft { font-style: italic; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
@media print { body { background: none; } figure, .tiles div { break-inside: avoid; }
  .card { overflow: visible; } th, td { white-space: normal; overflow-wrap: anywhere; } }
)css";

}  // namespace arcshard::cli
