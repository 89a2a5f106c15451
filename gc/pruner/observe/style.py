"""The page's style sheet; colours come from a few variables, one set for light and one for dark."""

from __future__ import annotations

CSS = """\
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #55606e; --line: #dde2e9;
  --accent: #1a5fb4; --own: #1a5fb4; --shared: #8db6e8; --good: #1a6b3c; --warn: #8a5300; --bad: #a51d2d;
  --good-ground: #e3f4e9; --warn-ground: #fdf0d9; --bad-ground: #fde8ea; --code: #eef1f5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1b2129; --ink: #e6eaf0; --soft: #a3adba; --line: #303945;
    --accent: #82b4f5; --own: #6ea8f2; --shared: #375d8f; --good: #7fd6a2; --warn: #f2be6d;
    --bad: #ff9aa5;
    --good-ground: #17352a; --warn-ground: #3a2c12; --bad-ground: #41191f; --code: #262e38;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px;
}
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; z-index: 1; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.125rem; margin: 0 0 .25rem; }
p { margin: .25rem 0 .75rem; }
.lead { color: var(--soft); margin: .25rem 0 1rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem;
    margin: 0 0 1.25rem; padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
.state { border-radius: 10px; padding: .75rem 1rem; margin: 0 0 1rem; border-left: 5px solid; }
.state strong { display: block; }
.state ul { margin: .25rem 0 0; padding-left: 1.25rem; }
.good { background: var(--good-ground); border-color: var(--good); }
.warn { background: var(--warn-ground); border-color: var(--warn); }
.bad { background: var(--bad-ground); border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem;
    margin: 0 0 1rem; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: .875rem 1rem; }
.tile dt { color: var(--soft); font-size: .875rem; }
.tile dd { margin: 0; }
.tile .figure { font-size: 1.5rem; font-weight: 650; line-height: 1.3;
    font-variant-numeric: tabular-nums; }
.tile .more { color: var(--soft); font-size: .875rem; }
section { padding: 1.125rem 1.25rem; margin: 0 0 1rem; scroll-margin-top: 1rem; }
section > p { color: var(--soft); }
.scroll { overflow-x: auto; }
.scroll + h3, p + h3 { margin-top: 1.25rem; }
h3 { font-size: 1rem; margin: .75rem 0 .25rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .375rem; }
th, td { text-align: left; vertical-align: top; padding: .4375rem .75rem .4375rem 0;
    border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: .8125rem;
    white-space: nowrap; }
tbody th.date { white-space: nowrap; }
tbody th { font-weight: 550; overflow-wrap: anywhere; min-width: 9rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.number + td.date, th.number + th { padding-left: .75rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 0 2rem; }
td.date { white-space: nowrap; }
td.bar { width: 26%; min-width: 7rem; vertical-align: middle; }
svg { display: block; }
svg.use { width: 100%; height: .75rem; }
.ground { fill: var(--line); } .own { fill: var(--own); } .also { fill: var(--shared); }
svg.growth { width: 100%; height: 7rem; margin: .25rem 0 .5rem; }
svg.growth rect { fill: var(--own); } svg.growth rect.failed { fill: var(--bad); }
.key { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; vertical-align: -1px; }
.key.own { background: var(--own); } .key.also { background: var(--shared); }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
    background: var(--code);
  border-radius: 5px; padding: .0625rem .3125rem; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--code); border-radius: 8px; padding: .625rem .75rem;
    margin: .25rem 0 .75rem; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
.badge { display: inline-block; border-radius: 999px; padding: 0 .625rem; font-size: .8125rem;
    font-weight: 600; }
.badge.good { color: var(--good); } .badge.warn { color: var(--warn); } .badge.bad { color: var(--bad); }
.none { color: var(--soft); margin: 0; }
footer { color: var(--soft); font-size: .875rem; padding-bottom: 2rem; }
@media (max-width: 40rem) {
  header, main, footer { padding-left: .75rem; padding-right: .75rem; }
  section { padding: .875rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .tile .figure { font-size: 1.25rem; }
  code.digest { display: inline-block; max-width: 11rem; overflow: hidden; text-overflow: ellipsis;
    white-space: nowrap; vertical-align: bottom; }
  td.bar { display: none; } th.bar { display: none; }
}
@media print { nav, .skip { display: none; } section, .tile { break-inside: avoid; } }
"""
