import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Link } from "../src/link.js";
import { clock, Model, page } from "./page.js";
import connection from "../../colab_guard/static/connection.js";

const MINUTE = 60_000;
let time, el, model, away;
let reached, asked;
const real = { fetch: globalThis.fetch, Worker: globalThis.Worker };

beforeEach(() => {
  time = clock();
  asked = [];
  reached = true;
  globalThis.fetch = async (address) => {
    asked.push(address);
    if (!reached) throw new TypeError("failed");
    return {};
  };
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
  model = new Model({ active: true, every_s: 60, last_heartbeat: 0, status: "Colab: 90 min", ...traits });
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
  assert.match(shown(), /kernel not heard yet/);
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

test("a server that does not answer is noticed within 30 s, and so is its return", async () => {
  start();
  answer();
  reached = false;
  time.advance(30_000);
  await settle();
  assert.match(shown(), /connection LOST for 0 s .*reconnects by itself, do not reload/);
  reached = true;
  time.advance(30_000);
  await settle();
  assert.match(shown(), /connected/);
  assert.ok(asked.every((address) => address === "/hub/user/api/status?no_track_activity=1"));
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

test("not active, it sends nothing at all", () => {
  start(true, { active: false });
  time.advance(5 * MINUTE);
  assert.deepEqual([model.sent, asked], [[], []]);
});

test("a worker that is refused after it was made hands over to the page's timer", () => {
  let made;
  globalThis.Worker = class {
    constructor() {
      made = this;
    }
    postMessage() {}
    terminate() {}
  };
  start();
  answer();
  time.advance(MINUTE);
  assert.equal(model.sent.length, 1);
  made.onerror();
  time.advance(MINUTE);
  assert.ok(made);
});

test("an answer that was too late to come is given up after two intervals", () => {
  const link = new Link(1000);
  assert.equal(link.ping(0).id, 1);
  assert.equal(link.ping(1_999), null);
  assert.equal(link.ping(2_000).id, 2);
});
