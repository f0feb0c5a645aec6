// The connection widget: pings from the page, and words on how the connection stands. Its Python half is
// colab_guard/keepalive/connection.py.
//
//   traits (the kernel writes, the page reads)
//     active: bool            while true the page pings; false stops everything, for good
//     every_s: int            seconds between pings (60)
//     last_heartbeat: float   when the kernel last gave a sign of life, seconds since the epoch, 0 for never
//     status: str             the host's rule for idle machines, in words
//   messages
//     page → kernel           {type: "ping", id, sent_ms, round_trip_ms?}; the round trip is that of the ping before
//     kernel → page           {type: "pong", id, ...}; stale pings get no answer
//
// One ping is outstanding at most, until it is answered or too old for an answer. Every 30 s (or at each ping, if that is sooner) the connection is checked: by a fetch of
// the server's api/status with a time limit where the page names its server, else by the pings alone.
// Nothing here reloads the page: Jupyter reconnects by itself and replays what was missed, and a reload would discard that.
import css from "./panel.css";
import { h, morph } from "./dom.js";
import { Link } from "./link.js";
import { every } from "./timer.js";

const CHECK_MS = 30_000;
const FETCH_LIMIT_MS = 10_000;
const TICK_MS = 1000;
// Lab opens a subshell for each new comm; a ping sent before it is there waits in the main shell until the cell ends
const FIRST_PING_MS = 2000;

/**
 * @typedef {{get(name: string): any, on(event: string, call: (...args: any[]) => void): void,
 *   off(event: string, call: (...args: any[]) => void): void, send(content: object): void}} Model
 * @param {{model: Model, el: HTMLElement}} context
 */
function render({ model, el }) {
  const everyMs = 1000 * Math.max(1, Number(model.get("every_s")) || 60);
  const link = new Link(everyMs);
  const root = h("div", { class: "colab-guard", role: "region", "aria-label": "connection" });
  const body = h("div");
  root.append(h("style", {}, css), body);
  el.append(root);
  const beat = Number(model.get("last_heartbeat")) * 1000;
  if (beat > 0) link.heard(Math.min(beat, Date.now()));
  /** @type {(() => void)[]} */
  let stops = [];

  const redraw = () => morph(body, drawLink(model.get("active") ? link.words(Date.now()) : null, model.get("status")));
  const ping = () => {
    const message = link.ping(Date.now());
    if (message) model.send(message);
    redraw();
  };
  const check = async () => {
    const address = statusAddress(document);
    if (address === null) return ping(); // an echo is the only check: one outstanding, as ever
    link.checked(await reaches(address), Date.now());
    redraw();
  };
  const onMessage = (/** @type {any} */ message) => {
    link.message(message, Date.now());
    redraw();
  };
  const onBeat = () => {
    link.heard(Date.now());
    redraw();
  };
  const stop = () => {
    for (const end of stops) end();
    stops = [];
    redraw();
  };
  const onActive = () => {
    if (!model.get("active")) stop();
  };

  model.on("msg:custom", onMessage);
  model.on("change:last_heartbeat", onBeat);
  model.on("change:active", onActive);
  if (model.get("active")) {
    const ticking = setInterval(redraw, TICK_MS);
    stops = [every(everyMs, ping), every(Math.min(CHECK_MS, everyMs), check), () => clearInterval(ticking)];
    const first = setTimeout(ping, FIRST_PING_MS);
    stops.push(() => clearTimeout(first));
    check();
  }
  redraw();
  return () => {
    stop();
    model.off("msg:custom", onMessage);
    model.off("change:last_heartbeat", onBeat);
    model.off("change:active", onActive);
  };
}

/**
 * @param {{tone: string, text: string} | null} words null: the work has ended
 * @param {string} status
 */
export function drawLink(words, status) {
  return h(
    "div",
    { class: "facts" },
    h("span", { class: words?.tone ?? "quiet" }, words?.text ?? "keep-alive ended with the work"),
    status ? h("span", { class: "quiet" }, ` · ${status}`) : null,
  );
}

/**
 * Where the server answers, if the page belongs to it; null in Colab's frames.
 * @param {Document} page
 */
export function statusAddress(page) {
  const config = page.getElementById("jupyter-config-data");
  if (!config?.textContent) return null;
  const base = JSON.parse(config.textContent).baseUrl;
  return typeof base === "string" ? `${base}api/status?no_track_activity=1` : null;
}

/** @param {string} address */
async function reaches(address) {
  try {
    await fetch(address, { signal: AbortSignal.timeout(FETCH_LIMIT_MS), cache: "no-store" });
    return true; // any answer is one: a login page means that the server lives
  } catch {
    return false;
  }
}

export default { render };
