// A view (colab_guard/panel/view.py) as a document tree. Pure: the same view and time give the same tree.
import { h, svg } from "./dom.js";
import { plain } from "./words.js";

/**
 * @typedef {import("./words.js").Sentence} Sentence
 * @typedef {{label: string, words: Sentence, value: number, total: number, bad: number, mark: number | null,
 *   series: number[], series_label: string, tone: string}} Bar
 * @typedef {{sign: string, status: string, label: string, params: string, metric: string, steps: string, time: string,
 *   reason: string}} Row
 * @typedef {{now: number, as_of: string, title: string, sign: string, phase: string, tone: string, running: boolean,
 *   elapsed: Sentence, reason: string, safety: Sentence, safety_tone: string, risk: Sentence, bars: Bar[], rows: Row[],
 *   more: string, facts: {label: string, words: Sentence, tone: string}[],
 *   events: {time: string, tone: string, text: string}[], commands: [string, string][]}} View
 */

/**
 * @param {View} view
 * @param {number} now seconds since the epoch, by the kernel's clock
 */
export function draw(view, now) {
  const said = (/** @type {Sentence} */ sentence) => plain(sentence, now);
  const latest = view.events.at(-1);
  return h(
    "div",
    {},
    h(
      "div",
      { class: "head" },
      h("span", { class: `phase ${view.tone}` }, h("span", { "aria-hidden": "true" }, view.sign), ` ${view.phase}`),
      h("strong", {}, view.title),
      h("span", { class: "quiet" }, said(view.elapsed)),
    ),
    view.reason ? h("div", { class: "reason bad" }, view.reason) : null,
    h("div", { class: `safety ${view.safety_tone}` }, h("b", {}, "Safety"), ": ", said(view.safety)),
    view.risk.length ? h("div", { class: "risk" }, said(view.risk)) : null,
    h("div", { class: "bars" }, ...view.bars.map((bar) => drawBar(bar, said(bar.words)))),
    view.rows.length ? drawRuns(view.rows, view.more) : null,
    h("dl", { class: "facts" }, ...view.facts.flatMap((f) => [h("dt", {}, `${f.label}: `), h("dd", { class: f.tone }, said(f.words))])),
    h("ul", { class: "events" }, ...view.events.map((e) => h("li", { class: e.tone }, h("time", {}, e.time), ` ${e.text}`))),
    h("dl", { class: "commands" }, ...view.commands.flatMap(([what, code]) => [h("dt", {}, `${what}: `), drawCode(code)])),
    // only events are spoken: a running percentage would never be silent
    h("div", { class: "unheard", "aria-live": "polite" }, latest ? latest.text : ""),
  );
}

/** @param {string} code */
function drawCode(code) {
  return h("dd", {}, h("code", {}, code), h("button", { type: "button", "data-copy": code, "aria-label": `copy ${code}` }, "copy"));
}

/**
 * @param {Bar} bar
 * @param {string} words
 */
function drawBar(bar, words) {
  return h(
    "div",
    { class: `bar ${bar.tone}` },
    h("div", { class: "words" }, h("b", {}, bar.label), `: ${words}`),
    bar.total > 0 ? drawTrack(bar, words) : null,
    bar.series.length > 1 ? drawCurve(bar) : null,
  );
}

/**
 * @param {Bar} bar
 * @param {string} words
 */
function drawTrack(bar, words) {
  const part = (/** @type {number} */ value) => `${(100 * Math.min(1, Math.max(0, value / bar.total))).toFixed(1)}%`;
  return h(
    "div",
    {
      class: "track",
      role: "progressbar",
      "aria-label": bar.label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * Math.min(1, (bar.value + bar.bad) / bar.total)),
      "aria-valuetext": words,
    },
    h("i", { class: "fill", style: `width:${part(bar.value)}` }),
    bar.bad ? h("i", { class: "bad", style: `width:${part(bar.bad)}` }) : null,
    bar.mark === null ? null : h("i", { class: "mark", style: `left:${part(bar.mark)}` }),
  );
}

/** @param {Bar} bar */
function drawCurve(bar) {
  const last = bar.series.length - 1;
  const points = bar.series.map((y, x) => `${((x * 100) / last).toFixed(1)},${(21 - 20 * Math.min(1, Math.max(0, y))).toFixed(1)}`);
  return svg(
    "svg",
    { class: "curve", viewBox: "0 0 100 22", preserveAspectRatio: "none", role: "img", "aria-label": bar.series_label },
    svg("polyline", { points: points.join(" ") }),
  );
}

/**
 * @param {Row[]} rows
 * @param {string} more
 */
function drawRuns(rows, more) {
  const names = ["status", "run", "parameters", "result", "steps", "time"];
  return h(
    "div",
    { class: "runs", role: "group", "aria-label": "runs", tabindex: 0 },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows.map(drawRow), more ? h("tr", {}, h("td", { colspan: 6, class: "quiet" }, `… ${more}`)) : null),
    ),
  );
}

/** @param {Row} row */
function drawRow(row) {
  return h(
    "tr",
    { class: row.status.split(" ")[0] },
    h("td", { class: "status" }, h("span", { "aria-hidden": "true" }, row.sign), ` ${row.status} `),
    h("th", { scope: "row" }, `${row.label} `),
    h("td", {}, `${row.params} `),
    h("td", { class: "result" }, `${row.reason || row.metric} `),
    h("td", { class: "n" }, `${row.steps} `),
    h("td", { class: "n" }, row.time),
  );
}
