// Bars and small curves: what decorates the words.
import { h, svg } from "./dom.js";

const HEIGHT = 26; // of a curve, in units of its own; a hundred are its width

/**
 * @typedef {{points: number[], label: string, line: number | null, marks: [number, string][]}} Series
 * @typedef {{label: string, words: import("./words.js").Sentence, parts: {label: string, value: number, kind: string}[], total: number,
 *   mark: number | null, peak: number | null, series: Series | null, tone: string}} Bar
 */

/**
 * @param {Bar} bar
 * @param {string} words
 */
export function drawBar(bar, words) {
  return h(
    "div",
    { class: `bar ${bar.tone}` },
    h("div", { class: "words" }, h("b", {}, bar.label), `: ${words}`),
    bar.total > 0 ? drawTrack(bar, words) : null,
    bar.series ? drawCurve(bar.series) : null,
  );
}

/** @param {number} fraction */
const percent = (fraction) => `${(100 * Math.min(1, Math.max(0, fraction))).toFixed(1)}%`;

/**
 * @param {Bar} bar
 * @param {string} words
 */
function drawTrack(bar, words) {
  const now = bar.parts.reduce((sum, part) => sum + part.value, 0) / bar.total;
  const at = (/** @type {string} */ kind, /** @type {number | null} */ value, /** @type {string} */ title) =>
    value === null ? null : h("i", { class: kind, style: `left:${percent(value / bar.total)}`, title });
  return h(
    "div",
    {
      class: "track",
      role: "progressbar",
      "aria-label": bar.label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * Math.min(1, now)),
      "aria-valuetext": words,
    },
    ...bar.parts
      .filter((part) => part.value > 0)
      .map((part) => h("i", { class: part.kind, style: `width:${percent(part.value / bar.total)}`, title: part.label })),
    at("peak", bar.peak, "peak"),
    at("mark", bar.mark, "guard"),
  );
}

/** @param {Series} series */
function drawCurve(series) {
  const last = series.points.length - 1;
  const height = (/** @type {number} */ percent) => (HEIGHT - 1 - ((HEIGHT - 2) * percent) / 100).toFixed(1);
  const points = series.points.map((y, x) => `${((x * 100) / last).toFixed(1)},${height(y)}`).join(" ");
  const line = series.line === null ? null : svg("line", { x1: 0, x2: 100, y1: height(series.line), y2: height(series.line) });
  return h(
    "div",
    { class: "curve", role: "img", "aria-label": series.label, title: series.label },
    svg("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, line, svg("polyline", { points })),
    ...series.marks.map(([at, kind]) => h("i", { class: `at ${kind}`, style: `left:${at}%` })),
  );
}
