// A view (colab_guard/panel/view.py) as a document tree. Pure: the same view, time and choices give the same tree.
import { drawBar } from "./bars.js";
import { h, keyed } from "./dom.js";
import { asRow, drawRuns, untouched } from "./table.js";
import { duration, plain } from "./words.js";

const SILENT_S = 25; // an update comes every ten seconds at the latest; a cut is to be seen within 30 s

/**
 * @typedef {import("./words.js").Sentence} Sentence
 * @typedef {{now: number, as_of: string, title: string, sign: string, phase: string, tone: string, running: boolean,
 *   elapsed: Sentence, count: string, eta: Sentence, reason: string, safety: Sentence, safety_tone: string, risk: Sentence,
 *   bars: import("./bars.js").Bar[], rows: unknown[][], more: string, facts: {label: string, words: Sentence, tone: string}[],
 *   events: {time: string, tone: string, text: string}[], commands: [string, string][], asks: [string, string, string][],
 *   started: number | null, peak_of: string}} View
 * @typedef {{choice: import("./table.js").Choice, ended: unknown[][], paused: boolean, silent_s: number, copied: string,
 *   controls: {deaf: boolean, said: string, tone: string} | null}} Local
 */

/** @returns {Local} what a page has of its own, before anyone has touched it */
export const fresh = () => ({ choice: untouched(), ended: [], paused: false, silent_s: 0, copied: "", controls: null });

/**
 * @param {View} view
 * @param {number} now seconds since the epoch, by the kernel's clock
 * @param {Local} [local]
 */
export function draw(view, now, local = fresh()) {
  const said = (/** @type {Sentence} */ sentence) => plain(sentence, now);
  const sections = {
    head: drawHead(view, said, local),
    silence: drawSilence(view, local),
    reason: view.reason ? h("div", { class: "reason bad" }, view.reason) : null,
    safety: h("div", { class: `safety ${view.safety_tone}` }, h("b", {}, "Safety"), ": ", said(view.safety)),
    risk: view.risk.length ? h("div", { class: "risk" }, said(view.risk)) : null,
    bars: h("div", { class: "bars" }, ...view.bars.map((bar) => drawBar(bar, said(bar.words)))),
    runs: view.rows.length ? drawRuns(view.rows.map(asRow), local.ended.map(asRow), view.more, view.peak_of, local.choice) : null,
    facts: h("dl", { class: "facts" }, ...view.facts.flatMap((f) => [h("dt", {}, `${f.label}: `), h("dd", { class: f.tone }, said(f.words))])),
    events: h("ul", { class: "events" }, ...view.events.map((e) => h("li", { class: e.tone }, h("time", {}, e.time), ` ${e.text}`))),
    asks: drawAsks(view, local),
    commands: h("dl", { class: "commands" }, ...view.commands.flatMap(([what, code]) => [h("dt", {}, `${what}: `), drawCode(code, local.copied)])),
  };
  return h("div", {}, ...Object.entries(sections).map(([key, section]) => keyed(key, section)));
}

/**
 * @param {View} view
 * @param {(sentence: Sentence) => string} said
 * @param {Local} local
 */
function drawHead(view, said, local) {
  const noted = [said(view.elapsed), view.count, said(view.eta)].filter(Boolean);
  return h(
    "div",
    { class: "head" },
    h("span", { class: `phase ${view.tone}` }, h("span", { "aria-hidden": "true" }, view.sign), ` ${view.phase}`),
    h("strong", {}, view.title),
    ...noted.map((words) => h("span", { class: "quiet" }, words)),
    view.running
      ? h(
          "button",
          { type: "button", class: "pause", "data-key": "pause", "data-do": "pause", "aria-pressed": String(local.paused) },
          local.paused ? "go on showing" : "pause display",
        )
      : h("span", { class: "quiet asof" }, `as of ${view.as_of}`),
  );
}

/**
 * @param {View} view
 * @param {Local} local
 */
function drawSilence(view, local) {
  if (local.paused) return h("div", { class: "silence warn" }, `Display paused: this is how it stood at ${view.as_of}. The work goes on.`);
  if (!view.running || local.silent_s < SILENT_S) return null;
  const words = `No news from the kernel for ${duration(local.silent_s)}: the connection is cut, or the kernel is in one long call, or lost. `;
  const then = `Unless it is lost, the work goes on without this page, which comes back by itself: do not reload. Shown is how it stood at ${view.as_of}.`;
  return h("div", { class: "silence warn" }, words + then);
}

/**
 * @param {View} view
 * @param {Local} local
 */
function drawAsks(view, local) {
  const controls = local.controls;
  if (!view.asks.length && !controls?.said) return null;
  if (!controls) return null;
  if (controls.deaf) {
    const words = "This kernel hears the page only between cells, so there are no buttons here. To stop: ";
    return h("div", { class: "asks" }, h("span", { class: "quiet" }, words + (view.asks[0]?.[2] ?? "")));
  }
  return h(
    "div",
    { class: "asks" },
    ...view.asks.map(([word, label]) => h("button", { type: "button", "data-key": word, "data-ask": word }, label)),
    controls.said ? h("span", { class: controls.tone }, controls.said) : null,
  );
}

/**
 * @param {string} code
 * @param {string} copied
 */
function drawCode(code, copied) {
  const words = copied === code ? "copied" : "copy";
  return h("dd", { "data-key": code }, h("code", {}, code), h("button", { type: "button", "data-copy": code, "aria-label": `${words} ${code}` }, words));
}
