// Two small charts, drawn by hand: a library would be larger than the page.

import { kindOf, sinceCell, types } from "./cells.js";
import { drawing, element } from "./dom.js";
import { day, dayShort, number, text } from "./texts.js";

const width = 640;
const height = 170;
const left = 34;
const bottom = 22;
const top = 8;

// A round number at or above the largest value, so that the scale reads well.
function ceiling(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? most;
}

function scale(highest) {
  const y = (value) => top + (height - top - bottom) * (1 - value / highest);
  const marks = highest >= 4 ? [0, highest / 2, highest] : [0, highest];
  return [y, marks.map((value) => [
    drawing("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }),
    drawing("text", { class: "scale", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
  ]).flat()];
}

function figure(title, svg, legend, table) {
  return element("figure", { class: "chart" }, element("figcaption", {}, title), legend, svg,
    element("details", { class: "numbers" }, element("summary", {}, text("as_table")), element("div", { class: "table-frame" }, table)));
}

function heads(names) {
  return element("thead", {}, element("tr", {}, names.map((name, place) => element("th", { scope: "col", class: place ? "number" : null }, name))));
}

export function weeksChart(weeks) {
  const kinds = [...types, "other"];
  const counts = weeks.map((week) => {
    const found = { "co-sell": 0, marketplace: 0, "solution-provider": 0, other: 0 };
    for (const [type, count] of Object.entries(week.by_type)) found[kindOf(type)] += count;
    return found;
  });
  const totals = counts.map((found) => kinds.reduce((sum, kind) => sum + found[kind], 0));
  const [y, grid] = scale(ceiling(Math.max(1, ...totals)));
  const step = (width - left) / weeks.length;
  const bars = weeks.map((week, place) => {
    let below = 0;
    const x = left + place * step + step * 0.18;
    const words = kinds.filter((kind) => counts[place][kind]).map((kind) => `${text(`type_${kind}`)} ${number(counts[place][kind])}`);
    return drawing("g", {}, drawing("title", {}, `${day(week.begins_on)}: ${words.join(", ") || "0"}`),
      kinds.filter((kind) => counts[place][kind]).map((kind) => {
        const from = below;
        below += counts[place][kind];
        return drawing("rect", { class: `block ${kind}`, x, width: step * 0.64, y: y(below), height: Math.max(0, y(from) - y(below) - 1), rx: 1.5 });
      }),
      place % 2 === (weeks.length - 1) % 2 && drawing("text", { class: "scale", x: x + step * 0.32, y: height - 5, "text-anchor": "middle" }, dayShort(week.begins_on)));
  });
  const legend = element("ul", { class: "legend" }, kinds.map((kind) => element("li", {}, element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text(`type_${kind}`))));
  const table = element("table", {}, heads([text("week_of"), ...kinds.map((kind) => text(`type_${kind}`))]),
    element("tbody", {}, weeks.map((week, place) => element("tr", {}, element("th", { scope: "row" }, day(week.begins_on)), kinds.map((kind) => element("td", { class: "number" }, number(counts[place][kind])))))));
  const sum = totals.reduce((all, total) => all + total, 0);
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text("weeks_summary", { count: sum, weeks: weeks.length }) }, grid, bars);
  return figure(text("weeks_title"), svg, legend, table);
}

const runKinds = { completed: "good", partial: "warn", running: "accent", interrupted: "warn", failed: "bad" };

export function runsChart(runs) {
  const oldestFirst = [...runs].reverse();
  const written = oldestFirst.map((run) => run.inserted + run.updated);
  const [y, grid] = scale(ceiling(Math.max(1, ...written)));
  const step = (width - left) / Math.max(30, oldestFirst.length);
  const bars = oldestFirst.map((run, place) => {
    const x = left + place * step + step * 0.15;
    const kind = runKinds[run.state] ?? "bad";
    const isBad = kind === "bad" || kind === "warn";
    const size = Math.max(2, y(0) - y(written[place]));
    return drawing("g", {},
      drawing("title", {}, `${day(run.started_at)}: ${text(`state_${run.state}`)}, ${text("written", { count: written[place] })}`),
      drawing("rect", { class: `block ${kind}`, x, width: step * 0.7, y: y(0) - size, height: size, rx: 1.5 }),
      isBad && drawing("text", { class: `sign ${kind}`, x: x + step * 0.35, y: y(0) - size - 4, "text-anchor": "middle" }, kind === "bad" ? "✕" : "!"));
  });
  const legend = element("ul", { class: "legend" }, [["good", "completed"], ["warn", "partial"], ["bad", "failed"]].map(([kind, state]) => element("li", {}, element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text(`state_${state}`))));
  const table = element("table", {}, heads([text("run_started"), text("run_state"), text("run_new"), text("run_updated")]),
    element("tbody", {}, runs.map((run) => element("tr", {}, element("th", { scope: "row" }, sinceCell(run.started_at)), element("td", { class: "number" }, text(`state_${run.state}`)), element("td", { class: "number" }, number(run.inserted)), element("td", { class: "number" }, number(run.updated))))));
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text("runs_summary", { count: runs.length, failed: runs.filter((run) => run.state === "failed").length }) }, grid, bars);
  return figure(text("runs_chart_title", { count: runs.length }), svg, legend, table);
}
