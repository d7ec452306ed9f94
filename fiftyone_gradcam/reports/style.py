"""The style sheet of a report, for light and dark screens and for print."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1c2430; --soft: #5b6676; --line: #dfe3ea;
  --accent: #1f5fbf; --good: 31, 95, 191; --bad: 200, 80, 20;
  --train: #0072b2; --valid: #d55e00; --warn: #8a5a00; --warn-back: #fff5dc;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --card: #1d232d; --ink: #e7ebf1; --soft: #9eaaba; --line: #343d4b;
    --accent: #7fb2ff; --good: 90, 150, 255; --bad: 255, 140, 60;
    --train: #56b4e9; --valid: #ff9a4d; --warn: #ffd479; --warn-back: #3a3116;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 2rem 1.2rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main, header, footer { max-width: 1080px; margin: 0 auto; }
bdi { overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .7rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
h3:first-child { margin-top: 0; }
p { margin: .4rem 0; max-width: 75ch; }
a { color: var(--accent); }
.soft, small, figcaption { color: var(--soft); }
nav { margin: .8rem 0 1.2rem; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.2rem 1.4rem; margin: 0 0 1.2rem;
}
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem;
  margin-bottom: 1.2rem;
}
.tile {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .8rem 1rem;
}
.tile b { display: block; font-size: 1.6rem; line-height: 1.25; }
.tile span { color: var(--soft); font-size: .87rem; }
.missing { color: var(--soft); font-style: italic; }
.note {
  background: var(--warn-back); border-radius: 8px; padding: .5rem .8rem; margin: .5rem 0;
  max-width: none;
}
.note b { color: var(--warn); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .28rem .7rem .28rem 0; text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
tbody tr + tr td, tbody tr + tr th { border-top: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tbody th { font-weight: 600; }
td img { max-width: 110px; max-height: 80px; width: auto; height: auto; border-radius: 4px; }
td .blank { width: 110px; height: 60px; }
td img, td .blank { vertical-align: middle; }
.bar { width: 130px; vertical-align: middle; }
.bar i { display: block; height: .6rem; border-radius: 3px; background: rgb(var(--good)); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 0 1.6rem; }
dl div {
  display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0;
  border-bottom: 1px solid var(--line);
}
dt { color: var(--soft); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 1rem;
}
figure { margin: 0; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; color: var(--ink); }
.chart figcaption span { color: var(--soft); }
.chart figcaption i {
  display: inline-block; width: 1.3em; margin-right: .4em; vertical-align: middle;
  border-top: 3px solid; color: var(--train);
}
.chart figcaption i.validation { color: var(--valid); border-top-style: dashed; }
.chart figcaption i.kept { color: var(--soft); border-top: 2px dotted; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12.5px; }
svg .grid { stroke: var(--line); }
svg .kept { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 3; }
polyline { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
polyline.training { stroke: var(--train); }
polyline.validation { stroke: var(--valid); stroke-dasharray: 7 4; }
circle.training { fill: var(--train); }
circle.validation { fill: var(--valid); }
table.matrix { font-size: .85rem; }
table.matrix td, table.matrix tbody th, table.matrix thead th {
  border: 0; padding: .2rem .35rem; vertical-align: middle;
}
table.matrix td {
  min-width: 2.3rem; text-align: center; border-radius: 4px; font-variant-numeric: tabular-nums;
}
table.matrix td.none { color: var(--line); }
table.matrix tbody th {
  max-width: 11rem; text-align: right; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; font-weight: 500;
}
table.matrix thead th { border: 0; vertical-align: bottom; }
table.matrix thead th span {
  display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg);
  max-height: 10rem; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  font-weight: 500;
}
table.matrix thead th.across { text-align: center; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 1rem; }
.card { font-size: .88rem; overflow-wrap: anywhere; break-inside: avoid; }
.card img {
  width: 100%; height: 150px; object-fit: contain; border-radius: 6px; display: block;
  background: var(--page); margin-bottom: .3rem;
}
.blank {
  display: grid; place-items: center; width: 100%; height: 150px; border-radius: 6px;
  margin-bottom: .3rem;
  border: 1px dashed var(--line); color: var(--soft); font-size: .8rem;
}
.card .file { color: var(--soft); font-size: .8rem; }
.scale {
  display: inline-block; width: 120px; height: .7rem; border-radius: 3px; vertical-align: middle;
  margin: 0 .4rem; opacity: .75;
  background: linear-gradient(90deg, #000080, #0000ff, #00ffff, #80ff80, #ffff00, #ff0000, #800000);
}
footer { color: var(--soft); font-size: .87rem; }
@media print {
  @page { margin: 14mm; }
  html { font-size: 11px; }
  body { background: #fff; padding: 0; font-size: 11px; }
  nav { display: none; }
  section, .tile { border-color: #ccc; }
  section { padding: .6rem .8rem; }
  h2, h3 { break-after: avoid; }
  tr, figure { break-inside: avoid; }
  .cards { grid-template-columns: repeat(5, 1fr); }
  .tiles { grid-template-columns: repeat(5, 1fr); }
  .charts { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
