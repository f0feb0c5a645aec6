// The panel's widget. Only Python writes to it: `view`, and the ended runs in pieces. Times run on by the page's own clock; sorting,
// filtering, unfolding, pausing and copying need no kernel. What does goes over a comm of its own (controls.js).
import css from "./panel.css";
import { Controls } from "./controls.js";
import { h, morph } from "./dom.js";
import { draw, fresh } from "./draw.js";
import { Speech } from "./speech.js";
import { sorted } from "./table.js";

const TICK_MS = 1000;
const COPIED_MS = 2000;
const PIECES = 17; // as colab_guard/panel/view.py

/**
 * @typedef {{get(name: string): any, on(event: string, call: () => void): void, off(event: string, call: () => void): void,
 *   widget_manager?: import("./controls.js").Manager}} Model
 * @param {{model: Model, el: HTMLElement}} context
 */
function render({ model, el }) {
  const root = h("div", { class: "colab-guard", role: "region", "aria-label": "colab_guard" });
  const body = h("div");
  const speech = new Speech();
  root.append(h("style", {}, css), body, speech.place);
  const local = fresh();
  // the first view may be old (a page loaded again); one that arrives now says how the clocks differ
  let ahead_s = 0;
  let heardAt = Date.now();
  /** @type {{view: any, now: number, ended: unknown[][]} | null} */
  let stopped = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let copying;
  let left = false;

  /** All as it stands; of work that has ended, as it stood then. */
  const standing = () => {
    const view = model.get("view");
    const now = view.running ? Date.now() / 1000 + ahead_s : view.now;
    return { view, now, ended: pieces().flatMap((name) => model.get(name) ?? []) };
  };

  const redraw = () => {
    const view = model.get("view");
    if (left || !view?.title) return;
    local.silent_s = (Date.now() - heardAt) / 1000;
    const shown = stopped ?? standing();
    local.ended = shown.ended;
    morph(body, draw(shown.view, shown.now, local));
    speech.tell(shown.view.events.at(-1), local.controls?.said ?? "");
    tick(view.running);
  };
  const tick = (/** @type {boolean} */ on) => {
    if (on) return void (ticking ??= setInterval(redraw, TICK_MS));
    clearInterval(ticking);
    ticking = undefined;
  };
  const controls = new Controls(redraw);
  const changed = () => {
    heardAt = Date.now();
    const view = model.get("view");
    ahead_s = (view.now ?? heardAt / 1000) - heardAt / 1000;
    // the end is shown even where the display was paused
    if (!view.running) pause(false);
    redraw();
  };
  const pause = (/** @type {boolean} */ on) => {
    local.paused = on;
    stopped = on ? standing() : null;
  };

  /** @type {Record<string, (value: string, from: HTMLElement) => void>} */
  const actions = {
    sort: (column) => (local.choice = sorted(local.choice, column)),
    do: (what) => (what === "pause" ? pause(!local.paused) : (local.choice = { ...local.choice, open: !local.choice.open })),
    copy: (code, from) => void copy(code, from),
    ask: (word) => {
      const view = model.get("view");
      const asked = view.asks.find((/** @type {string[]} */ known) => known[0] === word);
      if (asked) controls.ask(word, view.started, asked[2]);
    },
  };
  const clicked = (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest?.("button"));
    for (const [name, act] of Object.entries(actions)) {
      const value = button?.getAttribute(`data-${name}`);
      if (button && value) act(value, button);
    }
    redraw();
  };
  const filtered = (/** @type {Event} */ event) => {
    const field = /** @type {HTMLInputElement} */ (event.target);
    const name = field.getAttribute?.("data-filter");
    if (name) local.choice = { ...local.choice, [name]: field.value };
    redraw();
  };
  // hosts take single keys for commands of their own (a notebook: "dd" deletes the cell)
  const typed = (/** @type {Event} */ event) => {
    if (/** @type {HTMLElement} */ (event.target).matches?.("input, select")) event.stopPropagation();
  };

  /**
   * Copy a command; where the page may not, select it, so that the keyboard can.
   * @param {string} code
   * @param {HTMLElement} button
   */
  async function copy(code, button) {
    try {
      await navigator.clipboard.writeText(code);
    } catch {
      const element = button.previousElementSibling;
      if (element) getSelection()?.selectAllChildren(element);
      return;
    }
    local.copied = code;
    redraw();
    clearTimeout(copying);
    copying = setTimeout(() => {
      local.copied = "";
      redraw();
    }, COPIED_MS);
  }

  local.controls = model.get("controls") ? controls : null;
  redraw();
  el.append(root); // what is drawn by then is no news, and is not spoken
  void controls.find(model.get("controls"), model.widget_manager);
  const events = ["view", ...pieces()].map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, event === "change:view" ? changed : redraw));
  root.addEventListener("click", clicked);
  root.addEventListener("input", filtered);
  root.addEventListener("keydown", typed);
  return () => {
    left = true;
    tick(false);
    clearTimeout(copying);
    controls.close();
    events.forEach((event) => model.off(event, event === "change:view" ? changed : redraw));
    root.removeEventListener("click", clicked);
    root.removeEventListener("input", filtered);
    root.removeEventListener("keydown", typed);
  };
}

/** The traits that hold the ended runs. */
const pieces = () => Array.from({ length: PIECES }, (_, at) => `ended${at}`);

export default { render };
