// The connection widget: pings from the page, and words on how the connection stands. Its Python half is
// colab_guard/keepalive/connection.py.
//
//   traits (the kernel writes, the page reads)
//     active: bool            while true the page pings; false stops everything, for good
//     every_s: int            seconds between pings (60)
//     beat_s: int             seconds between two writes of last_heartbeat (10)
//     last_heartbeat: float   when the kernel last gave a sign of life, seconds since the epoch, 0 for never
//     beats: int              how many it has given
//     status: str             the host's rule for idle machines, in words
//     resume: str             what to do if the kernel is lost, in words
//     kernel_id: str          by which its server knows it; "" where that is not known
//     ended: str              what is said when the work has ended
//     nonce, page: str        whom to tell that work runs, and with what word ("" for nobody): the page script's
//   messages
//     page → kernel           {type: "ping", id, sent_ms, beat?, beat_ago_ms?, round_trip_ms?}; the round trip is that of the ping
//                             before; the newest last_heartbeat and how long it has been here tell the ping's age by the kernel's clock
//     kernel → page           {type: "pong", id, ...}; stale pings get no answer
//     kernel → page           {type: "news", title, text}: for the browser's notification, where the user has allowed it
//     frame → top page        {colab_guard: {nonce, state: "working" | "ended", at}}, to the origin `page` alone
//
// One ping is outstanding at most, until it is answered or too old for an answer. Every 20 s (or at each ping, if that is sooner)
// the connection is checked: by a fetch of the server's api/status with a time limit where the page names its server, and of
// what it says of the kernel; else by pings and beats alone. So a loss is seen within 30 s. One check runs at a time. When the kernel
// is gone for certain pings and checks end, until it gives a sign after all.
// Nothing here reloads the page: Jupyter reconnects by itself and replays what was missed, and a reload would discard that.
import css from "./panel.css";
import { h, morph } from "./dom.js";
import { Link } from "./link.js";
import { every } from "./timer.js";

const CHECK_MS = 20_000;
const FETCH_LIMIT_MS = 8_000;
const TICK_MS = 1000;
// how what stands before a server answers when the server itself is gone; 424 is JupyterHub's
const SERVER_GONE = [424, 502, 503, 504];
// Lab opens a subshell for each new comm; a ping sent before it is there waits in the main shell until the cell ends
const FIRST_PING_MS = 2000;

/**
 * @typedef {{get(name: string): any, on(event: string, call: (...args: any[]) => void): void,
 *   off(event: string, call: (...args: any[]) => void): void, send(content: object): void}} Model
 * @param {{model: Model, el: HTMLElement}} context
 */
function render({ model, el }) {
  const everyMs = seconds(model, "every_s", 60);
  const beatMs = seconds(model, "beat_s", 10);
  const link = new Link(everyMs, beatMs, Date.now());
  const again = Number(model.get("beats")) > 1 ? "opened again while the work runs; " : "";
  const root = h("div", { class: "colab-guard", role: "region", "aria-label": "connection" });
  const body = h("div");
  root.append(h("style", {}, css), body);
  el.append(root);
  // the age of a beat of before cannot be told, unless the kernel's clock seems to be this one
  const beatAt = Number(model.get("last_heartbeat")) * 1000;
  const age = Date.now() - beatAt;
  if (age >= 0 && age <= link.silentMs) link.heard(beatAt);
  let beatHereAt = Date.now();
  let refused = false;
  let checking = false;
  /** @type {(() => void)[]} */
  let stops = [];

  const redraw = () => {
    if (model.get("active")) {
      const now = Date.now();
      const { tone, text } = link.words(now, model.get("resume") || undefined);
      if (link.over(now)) rest();
      morph(body, drawLink({ tone, text: again + text }, model.get("status"), offer(refused)));
    } else morph(body, drawLink({ tone: "quiet", text: model.get("ended") || "keep-alive ended with the work" }, ""));
  };
  const ping = (due = true) => {
    const message = link.ping(Date.now(), due);
    const beat = Number(model.get("last_heartbeat"));
    try {
      if (message) model.send({ ...message, ...(beat > 0 ? { beat, beat_ago_ms: Date.now() - beatHereAt } : {}) });
    } catch {
      link.closed = true;
    }
    redraw();
  };
  const check = async () => {
    const begunAt = Date.now();
    if (!link.lost(begunAt) && link.heardAt !== null) tellPage(model, "working");
    const address = statusAddress(document);
    if (address === null) return ping(false); // an echo is the only check: one outstanding, as ever
    if (checking) return;
    checking = true;
    const reached = await reaches(address);
    const state = reached ? await kernelState(document, model.get("kernel_id")) : null;
    checking = false;
    link.checked(reached, Date.now(), state, begunAt);
    redraw();
  };
  const onMessage = (/** @type {any} */ message) => {
    if (message?.type === "news") notify(message);
    link.message(message, Date.now());
    redraw();
  };
  const onBeat = () => {
    beatHereAt = Date.now();
    link.heard(beatHereAt);
    begin();
    redraw();
  };
  const onClick = async (/** @type {Event} */ event) => {
    if (!(/** @type {Element} */ (event.target).closest?.("[data-notify]"))) return;
    refused = (await Notification.requestPermission()) !== "granted";
    redraw();
  };
  const begin = () => {
    if (stops.length || !model.get("active")) return;
    const ticking = setInterval(redraw, TICK_MS);
    const first = setTimeout(() => ping(false), FIRST_PING_MS);
    stops = [every(everyMs, () => ping()), every(Math.min(CHECK_MS, everyMs), check), () => clearInterval(ticking), () => clearTimeout(first)];
    void check();
  };
  /** No more pings and checks: not of a kernel that is gone, nor when the work has ended. */
  const rest = () => {
    for (const stop of stops) stop();
    stops = [];
  };
  const onActive = () => {
    if (model.get("active")) return;
    tellPage(model, "ended");
    rest();
    redraw();
  };

  model.on("msg:custom", onMessage);
  model.on("change:last_heartbeat", onBeat);
  model.on("change:active", onActive);
  model.on("change:ended", redraw);
  root.addEventListener("click", onClick);
  begin();
  redraw();
  return () => {
    rest();
    model.off("msg:custom", onMessage);
    model.off("change:last_heartbeat", onBeat);
    model.off("change:active", onActive);
    model.off("change:ended", redraw);
    root.removeEventListener("click", onClick);
  };
}

/**
 * @param {Model} model
 * @param {string} trait
 * @param {number} otherwise
 */
function seconds(model, trait, otherwise) {
  return 1000 * Math.max(1, Number(model.get(trait)) || otherwise);
}

/**
 * @param {{tone: string, text: string}} words
 * @param {string} status
 * @param {HTMLElement | null} [more]
 */
export function drawLink({ tone, text }, status, more = null) {
  return h("div", { class: "facts" }, h("span", { class: tone }, text), status ? h("span", { class: "quiet" }, ` · ${status}`) : null, more);
}

/**
 * The button by which the user may allow notifications; null where that is decided, or cannot be.
 * @param {boolean} refused the user, or the browser for this frame, has said no just now
 */
function offer(refused) {
  if (refused) return h("span", { class: "quiet" }, " · this browser does not notify from here; %keepalive --notify URL does");
  if (typeof Notification === "undefined" || Notification.permission !== "default") return null;
  return h("button", { type: "button", "data-notify": "" }, "notify me in this browser");
}

/** @param {{title?: unknown, text?: unknown}} news */
function notify(news) {
  if (typeof Notification === "undefined" || Notification.permission !== "granted") return;
  try {
    const title = String(news.title ?? "colab_guard");
    // the same news again takes the place of the old one and sounds again; other news stand beside it
    new Notification(title, /** @type {NotificationOptions} */ ({ body: String(news.text ?? ""), tag: `colab_guard ${title}`, renotify: true }));
  } catch {
    // a phone's browser shows notifications of service workers only; the widget's words say the same
  }
}

/**
 * Tell the page around this frame that guarded work runs, or has ended; for the script that the user put there.
 * @param {Model} model
 * @param {"working" | "ended"} state
 */
function tellPage(model, state) {
  const nonce = model.get("nonce");
  const page = model.get("page");
  if (!nonce || !page || !globalThis.top || globalThis.top === globalThis.self) return;
  globalThis.top.postMessage({ colab_guard: { nonce, state, at: Date.now() } }, page);
}

/**
 * Where the server answers, if the page belongs to it; null in Colab's frames.
 * @param {Document} page
 */
export function statusAddress(page) {
  const base = baseUrl(page);
  return base === null ? null : `${base}api/status?no_track_activity=1`;
}

/** @param {Document} page */
function baseUrl(page) {
  const config = page.getElementById("jupyter-config-data");
  if (!config?.textContent) return null;
  const base = JSON.parse(config.textContent).baseUrl;
  return typeof base === "string" ? base : null;
}

/** @param {string} address */
async function reaches(address) {
  const answer = await asked(address);
  return answer !== null && !SERVER_GONE.includes(answer.status); // any other is one: a login page means that the server lives
}

/**
 * What the server says of the kernel: its execution_state, "gone" where it knows none of that id, null where it does not say.
 * @param {Document} page
 * @param {string} id
 */
async function kernelState(page, id) {
  if (!id) return null;
  const answer = await asked(`${baseUrl(page)}api/kernels/${id}?no_track_activity=1`);
  if (answer?.status === 404) return "gone";
  if (!answer?.ok) return null;
  const told = await answer.json().catch(() => null);
  return typeof told?.execution_state === "string" ? told.execution_state : null;
}

/** @param {string} address */
async function asked(address) {
  try {
    return await fetch(address, { signal: AbortSignal.timeout(FETCH_LIMIT_MS), cache: "no-store" });
  } catch {
    return null;
  }
}

export default { render };
