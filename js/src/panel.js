// The panel's widget. Only Python writes to it: one trait, `view`. Times run on by the page's own clock.
import css from "./panel.css";
import { h, morph } from "./dom.js";
import { draw } from "./draw.js";

const TICK_MS = 1000;

/**
 * @typedef {{get(name: "view"): import("./draw.js").View, on(event: string, call: () => void): void,
 *   off(event: string, call: () => void): void}} Model
 * @param {{model: Model, el: HTMLElement}} context
 */
function render({ model, el }) {
  const root = h("div", { class: "colab-guard", role: "region", "aria-label": "colab_guard" });
  const body = h("div");
  root.append(h("style", {}, css), body);
  el.append(root);
  // the first view may be old (a page loaded again); one that arrives now says how the clocks differ
  let ahead_s = 0;

  const redraw = () => {
    const view = model.get("view");
    if (!view || !view.title) return;
    morph(body, draw(view, Date.now() / 1000 + ahead_s));
  };
  const changed = () => {
    ahead_s = (model.get("view").now ?? Date.now() / 1000) - Date.now() / 1000;
    redraw();
  };
  const clicked = (/** @type {Event} */ event) => {
    const button = /** @type {Element} */ (event.target).closest?.("[data-copy]");
    if (button) copy(/** @type {HTMLElement} */ (button));
  };

  redraw();
  model.on("change:view", changed);
  root.addEventListener("click", clicked);
  const ticking = setInterval(redraw, TICK_MS);
  return () => {
    clearInterval(ticking);
    model.off("change:view", changed);
    root.removeEventListener("click", clicked);
  };
}

/**
 * Copy a command; where the page may not, select it, so that the keyboard can.
 * @param {HTMLElement} button
 */
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    button.textContent = "copied";
  } catch {
    const code = button.previousElementSibling;
    if (code) getSelection()?.selectAllChildren(code);
    button.textContent = "selected";
  }
}

export default { render };
