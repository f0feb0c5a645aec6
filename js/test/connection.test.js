import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { Link } from "../src/link.js";
import { clock, Model, page } from "./page.js";
import connection from "../../colab_guard/static/connection.js";

const MINUTE = 60_000;
let time, el, model, away;
let reached, asked, server, kernel, posted;
const real = { fetch: globalThis.fetch, Worker: globalThis.Worker, top: globalThis.top, self: globalThis.self, Notification: globalThis.Notification };

beforeEach(() => {
  time = clock();
  asked = [];
  posted = [];
  reached = true;
  server = { status: 200, ok: true };
  kernel = { status: 200, ok: true, json: async () => ({ execution_state: "busy" }) };
  globalThis.fetch = async (address) => {
    asked.push(address);
    if (!reached) throw new TypeError("failed");
    return address.includes("/kernels/") ? kernel : server;
  };
  globalThis.self = {};
  globalThis.top = { postMessage: (message, origin) => posted.push({ ...message.colab_guard, origin }) };
  // a policy that forbids workers: the page's timers, which the mock moves, take over
  globalThis.Worker = class {
    constructor() {
      throw new Error("content security policy");
    }
  };
});
afterEach(() => {
  away?.();
  away = undefined;
  time.restore();
  Object.assign(globalThis, real);
});

const FIRST = 2000; // when the first ping is sent

function start(config = true, traits = {}) {
  const data = config ? `<script id="jupyter-config-data" type="application/json">{"baseUrl":"/hub/user/"}</script>` : "";
  el = page(`<html><body>${data}</body></html>`).createElement("div");
  model = new Model({ active: true, every_s: 60, beat_s: 10, last_heartbeat: 0, status: "Colab: 90 min", ...traits });
  away = connection.render({ model, el });
  time.advance(FIRST);
}
const shown = () => el.querySelector(".colab-guard > div").textContent;
const answer = () => model.emit("msg:custom", { type: "pong", id: model.sent.at(-1).id });
const settle = () => new Promise((done) => setImmediate(done));

test("a ping carries its id and time, and is sent each minute once the one before is answered", () => {
  start();
  assert.deepEqual(model.sent, [{ type: "ping", id: 1, sent_ms: Date.now() }]);
  time.advance(40);
  answer();
  assert.match(shown(), /connected: kernel heard 0 s ago, round trip 40 ms/);
  time.advance(MINUTE);
  assert.equal(model.sent.length, 2);
  assert.equal(model.sent[1].round_trip_ms, 40);
});

test("while a ping can still be answered no other is sent", () => {
  start();
  time.advance(2 * MINUTE - FIRST);
  assert.equal(model.sent.length, 1);
  time.advance(MINUTE);
  assert.equal(model.sent.length, 2);
});

test("an answer to another ping counts for nothing", () => {
  start();
  model.emit("msg:custom", { type: "pong", id: 99 });
  assert.match(shown(), /waiting for the kernel's first sign/);
});

test("a kernel that was never heard is waited for, quietly, and then called silent", async () => {
  start(true, TOLD);
  assert.match(shown(), /^waiting for the kernel's first sign/);
  assert.equal(el.querySelector(".facts span").getAttribute("class"), "quiet");
  await passing(40_000, false);
  assert.match(shown(), /kernel SILENT for 4\d s/);
  assert.deepEqual(posted, [], "it is not said to work");
});

test("a heartbeat is a sign of life while the kernel is too busy to answer", () => {
  start();
  time.advance(2 * MINUTE);
  model.set("last_heartbeat", Date.now() / 1000);
  assert.match(shown(), /connected: kernel heard 0 s ago/);
});

test("a silent kernel is said in words", () => {
  start();
  answer();
  time.advance(3 * MINUTE);
  model.set("active", true);
  time.advance(1000);
  assert.match(shown(), /kernel SILENT for 3 min/);
});

const beat = () => model.set("last_heartbeat", Date.now() / 1000);
/** Let time pass, with a sign of the kernel each 10 s. */
async function passing(ms, beating = true) {
  for (; ms > 0; ms -= 10_000) {
    if (beating) beat();
    time.advance(Math.min(ms, 10_000));
    await settle();
  }
}

test("a server that does not answer is noticed within 30 s, and so is its return, with what was missed", async () => {
  start();
  answer();
  await passing(60_000);
  reached = false;
  await passing(20_000, false);
  assert.match(shown(), /connection LOST for .*; if only the connection is cut, the work goes on .*reconnects by itself, do not reload; if the server is gone, run the same cells again/);
  await passing(60_000, false);
  reached = true;
  await passing(20_000);
  assert.match(shown(), /connected: kernel heard .*; was away for 1 min \d\d s \(1 ping missed\)/);
  assert.ok(asked.every((address) => address === "/hub/user/api/status?no_track_activity=1"));
});

test("a kernel that gives no sign is noticed within 30 s where no server can be asked", async () => {
  start(false);
  await passing(60_000);
  assert.match(shown(), /connected/);
  beat();
  await passing(29_000, false);
  assert.match(shown(), /kernel SILENT for 29 s: busy in one long call, or the connection is lost; do not reload/);
  beat();
  assert.match(shown(), /connected: kernel heard 0 s ago.*; was away for/);
});

test("a kernel that its server does not know any more is gone, and the way to go on is told", async () => {
  start(true, { kernel_id: "k-1", resume: "run the same cells again: lora goes on" });
  beat();
  kernel = { status: 404, ok: false };
  await passing(30_000, false);
  assert.ok(asked.includes("/hub/user/api/kernels/k-1?no_track_activity=1"));
  assert.match(shown(), /the kernel is GONE \(last heard at \d\d:\d\d:\d\d\): run the same cells again: lora goes on/);
});

test("a server that knows no such kernel does not overrule the kernel's own beats", async () => {
  start(true, { kernel_id: "k-1" });
  kernel = { status: 404, ok: false };
  await passing(60_000);
  assert.match(shown(), /connected: kernel heard/);
});

test("of a kernel that is gone nothing is asked any more, until it gives a sign after all", async () => {
  start(true, { kernel_id: "k-1" });
  kernel = { status: 404, ok: false };
  beat();
  await passing(60_000, false);
  assert.match(shown(), /the kernel is GONE/);
  const before = [asked.length, model.sent.length];
  await passing(10 * MINUTE, false);
  assert.deepEqual([asked.length, model.sent.length], before);
  assert.equal(time.pending(), 0, "no timer is left");
  kernel = { status: 200, ok: true, json: async () => ({ execution_state: "busy" }) };
  await passing(60_000);
  assert.match(shown(), /connected: kernel heard/);
  assert.ok(asked.length > before[0]);
});

test("a host that has closed the widget's comm has started the kernel anew: it is gone", async () => {
  start(false);
  beat();
  model.send = () => {
    throw new Error("Cannot send");
  };
  await passing(5 * MINUTE, false);
  assert.match(shown(), /the kernel is GONE/);
  assert.equal(time.pending(), 0, "no timer is left");
});

for (const status of [424, 502, 503, 504]) {
  test(`a proxy that answers ${status} stands before a server that is gone`, async () => {
    start();
    beat();
    server = { status, ok: false };
    await passing(20_000, false);
    assert.match(shown(), /connection LOST/);
  });
}

/** A network that swallows what is asked: `fail` gives up what was asked first. */
function swallowing() {
  const waiting = [];
  globalThis.fetch = (address) => new Promise((_, reject) => {
    asked.push(address);
    waiting.push(reject);
  });
  return { waiting, fail: async () => { waiting.shift()(new TypeError("failed")); await settle(); } };
}

test("a check that gives up says nothing of a kernel that was heard since it began", async () => {
  start();
  await settle();
  const network = swallowing();
  time.advance(20_000);
  beat();
  time.advance(1000);
  await network.fail();
  assert.match(shown(), /connected: kernel heard 1 s ago/);
});

test("one check runs at a time", async () => {
  start(true, { every_s: 5 });
  await settle();
  const { waiting } = swallowing();
  time.advance(30_000);
  assert.equal(waiting.length, 1);
});

test("a kernel that its server starts anew is told from one that is busy, of which an idle state is no proof", async () => {
  start(true, { kernel_id: "k-1", resume: "run the same cells again" });
  beat();
  await passing(30_000, false);
  assert.match(shown(), /kernel SILENT .*busy in one long call, or the connection is lost/);
  kernel.json = async () => ({ execution_state: "idle" });
  await passing(20_000, false);
  assert.match(shown(), /kernel SILENT .*: busy in one long call, or started anew: look at the prompt.*do not reload\. If it was, run the same cells again/);
  for (const state of ["starting", "restarting"]) {
    kernel.json = async () => ({ execution_state: state });
    await passing(20_000, false);
    assert.match(shown(), /kernel SILENT .*, and it is being started anew\. To go on, run the same cells again/);
  }
  kernel.json = async () => ({ execution_state: "dead" });
  await passing(20_000, false);
  assert.match(shown(), /the kernel is GONE/);
});

test("where checks ask the kernel itself only the pings of the intervals count as missed", async () => {
  start(false, { every_s: 60 });
  beat();
  await passing(60_000 - FIRST);
  await passing(180_000, false);
  beat();
  assert.match(shown(), /was away for [^(]*\(3 pings missed\)/);
});

for (const [clockIs, off] of [["ahead", 3600], ["behind", -3600]]) {
  test(`a page whose clock is an hour ${clockIs} is neither silent at once nor deaf to silence`, async () => {
    start(false, { beats: 7, last_heartbeat: Date.now() / 1000 - off });
    assert.match(shown(), /waiting for the kernel's first sign/);
    await passing(30_000, false);
    assert.match(shown(), /kernel SILENT for 3\d s/);
  });
}

test("a ping gives the kernel back its own time", () => {
  start(true, { last_heartbeat: 1234.5 });
  assert.deepEqual([model.sent[0].beat, model.sent[0].beat_ago_ms], [1234.5, FIRST]);
  model.set("last_heartbeat", 1250);
  answer();
  time.advance(MINUTE); // pings come each minute from the drawing on, and the time of the beat came with the first one
  assert.deepEqual([model.sent[1].beat, model.sent[1].beat_ago_ms], [1250, MINUTE - FIRST]);
});

test("an answer of the server that says nothing of the kernel changes nothing", async () => {
  for (const strange of [{ status: 403, ok: false }, { status: 200, ok: true, json: async () => { throw new SyntaxError("html"); } }]) {
    start(true, { kernel_id: "k-1" });
    kernel = strange;
    await passing(40_000);
    assert.match(shown(), /connected/);
    away();
  }
});

test("a page that was opened again says so", () => {
  start(true, { beats: 7, last_heartbeat: Date.now() / 1000 });
  assert.match(shown(), /^opened again while the work runs; connected/);
});

test("several times away are counted", async () => {
  start(false);
  for (let turn = 0; turn < 3; turn += 1) {
    await passing(30_000);
    await passing(30_000, false);
  }
  beat();
  assert.match(shown(), /3 times in all/);
});

const TOLD = { nonce: "n", page: "https://colab.research.google.com" };

test("the page around is told that work runs, with the nonce, at its origin alone, and that it has ended", async () => {
  start(false, { ...TOLD, last_heartbeat: Date.now() / 1000 });
  assert.deepEqual(posted[0], { nonce: "n", state: "working", at: Date.now() - FIRST, origin: TOLD.page });
  await passing(60_000);
  assert.equal(posted.length, 4, "each 20 s");
  model.set("active", false);
  assert.equal(posted.at(-1).state, "ended");
});

test("a kernel that is not heard is not said to work", async () => {
  start(false, { ...TOLD, last_heartbeat: Date.now() / 1000 });
  await passing(200_000, false);
  assert.equal(posted.length, 2, "at once and after 20 s");
});

test("nobody is told without a nonce, without a page, or where there is no page around", () => {
  for (const traits of [{}, { nonce: "n" }, { page: TOLD.page }]) {
    start(false, traits);
    away();
  }
  globalThis.top = globalThis.self;
  start(false, TOLD);
  assert.deepEqual(posted, []);
});

/** A browser that knows notifications; `answer` is what the user says. */
function notifications(permission, answer) {
  const shown = [];
  globalThis.Notification = class {
    static permission = permission;
    static async requestPermission() {
      Notification.permission = answer;
      return answer;
    }
    constructor(title, options) {
      shown.push([title, options.body]);
    }
  };
  return shown;
}
const news = () => model.emit("msg:custom", { type: "news", title: "lora: done", text: "after 2 h" });
const press = () => {
  const event = new (el.ownerDocument.defaultView.Event)("click", { bubbles: true });
  el.querySelector("[data-notify]").dispatchEvent(event);
};

test("the browser notifies only after the user has allowed it by a click", async () => {
  const seen = notifications("default", "granted");
  start();
  news();
  assert.deepEqual(seen, [], "nobody was asked yet");
  press();
  await settle();
  assert.equal(el.querySelector("[data-notify]"), null, "the question is answered");
  news();
  assert.deepEqual(seen, [["lora: done", "after 2 h"]]);
});

test("where the browser does not let this frame notify, that is said, with what does", async () => {
  const seen = notifications("default", "denied");
  start();
  press();
  await settle();
  assert.match(shown(), /does not notify from here; %keepalive --notify URL does/);
  news();
  assert.deepEqual(seen, []);
});

test("allowed before, it notifies without a question; a browser without notifications shows no button", () => {
  const seen = notifications("granted", "granted");
  start();
  assert.equal(el.querySelector("[data-notify]"), null);
  news();
  assert.equal(seen.length, 1);
  delete globalThis.Notification;
  start();
  assert.equal(el.querySelector("[data-notify]"), null);
  news();
});

test("stale answers are dropped: only the ping that is outstanding is answered", () => {
  const link = new Link(1000);
  link.ping(0);
  link.ping(2000);
  link.message({ type: "pong", id: 1 }, 2100);
  assert.equal(link.roundTripMs, null);
  link.message({ type: "pong", id: 2 }, 2150);
  assert.equal(link.roundTripMs, 150);
});

test("in a frame without a server's address only pings are sent", () => {
  start(false);
  time.advance(MINUTE);
  assert.deepEqual(asked, []);
  assert.equal(model.sent.length, 1);
});

test("when the work ends everything stops, for good", () => {
  start();
  answer();
  model.set("active", false);
  assert.match(shown(), /ended with the work/);
  const fetches = asked.length;
  time.advance(10 * MINUTE);
  assert.equal(model.sent.length, 1);
  assert.equal(asked.length, fetches);
});

test("a page that is opened when the work has ended shows how it ended", () => {
  start(true, { active: false, ended: "keep-alive: 12 heartbeats sent; ended with the work." });
  assert.equal(shown(), "keep-alive: 12 heartbeats sent; ended with the work.");
  assert.deepEqual(model.sent, []);
});

test("not active, it sends nothing at all", () => {
  start(true, { active: false });
  time.advance(5 * MINUTE);
  assert.deepEqual([model.sent, asked], [[], []]);
});

test("a worker that is refused after it was made hands over to the page's timer", () => {
  const made = [];
  globalThis.Worker = class {
    constructor() {
      made.push(this);
    }
    postMessage() {}
    terminate() {}
  };
  start();
  answer();
  time.advance(MINUTE);
  assert.equal(model.sent.length, 1);
  for (const worker of made) worker.onerror();
  time.advance(MINUTE);
  assert.equal(model.sent.length, 2);
});

test("an answer that was too late to come is given up after two intervals", () => {
  const link = new Link(1000);
  assert.equal(link.ping(0).id, 1);
  assert.equal(link.ping(1_999), null);
  assert.equal(link.ping(2_000).id, 2);
});
