import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { morph } from "../src/dom.js";
import { draw, fresh } from "../src/draw.js";
import { clock, Model, page, values, VIEW } from "./page.js";
// the bundle, so that the css is in it as in a notebook
import panel from "../../colab_guard/static/panel.js";

let time, el, model;
beforeEach(() => {
  time = clock();
  el = page().createElement("div");
  model = new Model({ view: VIEW });
});
afterEach(() => time.restore());

const words = (element) => element.textContent.replace(/\s+/g, " ");
const shown = () => words(el.querySelector(".colab-guard > div"));

test("words carry the meaning, in reading order", () => {
  const text = words(draw(VIEW, VIEW.now));
  const order = ["running", "lora-39", "4 of 39 models", "ends in 12 to 17 min", "saved 12 s ago", "3 of 39 done", "n/a", "✗ failed", "the next run began", "3.1 GiB", "saved 1-4", "38 more", "FOLDER: ok", "colab-guard stop"];
  assert.deepEqual(order.filter((word) => !text.includes(word)), []);
  assert.deepEqual(order.map((word) => text.indexOf(word)), order.map((word) => text.indexOf(word)).sort((a, b) => a - b));
});

test("text from outside never becomes markup", () => {
  const tree = draw({ ...VIEW, title: "<img src=x onerror=alert(1)>" }, VIEW.now);
  assert.equal(tree.querySelector("script, img"), null);
  assert.equal(tree.querySelector("tbody th b"), null);
  assert.match(words(tree), /<script>alert\(1\)<\/script>/);
});

test("bars have the role, values and words of a progressbar; without a total there is none", () => {
  const bars = [...draw(VIEW, VIEW.now).querySelectorAll("[role=progressbar]")];
  assert.deepEqual(bars.map((bar) => bar.getAttribute("aria-label")), ["sweep", "RAM"]);
  assert.equal(bars[0].getAttribute("aria-valuenow"), "10");
  assert.equal(bars[0].getAttribute("aria-valuetext"), "3 of 39 done, 1 failed");
  assert.equal(bars[1].querySelector(".mark").getAttribute("style"), "left:75.0%");
  assert.equal(bars[1].querySelector(".peak").getAttribute("style"), "left:50.0%");
  assert.deepEqual([...bars[1].querySelectorAll("[title]")].map((part) => part.getAttribute("title")), ["used", "peak", "guard"]);
});

test("times run on without the kernel, by the kernel's clock", () => {
  panel.render({ model, el });
  assert.match(shown(), /saved 12 s ago/);
  time.advance(3000);
  assert.match(shown(), /saved 15 s ago/);
  // a kernel whose clock is an hour ahead
  model.set("view", { ...VIEW, now: VIEW.now + 3603, safety: ["saved ", { ago: VIEW.now + 3601 }] });
  assert.match(shown(), /saved 2 s ago/);
});

test("an update keeps the elements that are there", () => {
  panel.render({ model, el });
  const button = el.querySelector("[data-copy]");
  model.set("view", { ...VIEW, title: "other", more: "" });
  assert.equal(el.querySelector("[data-copy]"), button);
  assert.match(shown(), /other/);
  assert.doesNotMatch(shown(), /38 more/);
});

const ROWS = [values(0, "done", [0.7, 400, 60, 9]), values(1, "done", [0.8, 400, 60, 9])];
const KEPT = ["input", "select", ".runs", "[data-do=pause]", "[data-ask=commit]", "[data-copy$=lora-39]", "thead button"];
const CHANGES = {
  "a display that is paused": [{}, { paused: true }],
  "a silent kernel": [{}, { silent_s: 60 }],
  "a reason and a risk": [{ reason: "KeyError: no", risk: ["40 s of work"] }, {}],
  "no estimate and no stop": [{ eta: [], count: "", asks: VIEW.asks.slice(1) }, {}],
  "more to copy": [{ commands: [["resume", "run the cell again"], ...VIEW.commands] }, {}],
};
for (const [what, [view, local]] of Object.entries(CHANGES)) {
  test(`the elements that a person uses stay the same when there comes and goes ${what}`, () => {
    const mine = { ...fresh(), controls: { deaf: false, said: "", tone: "quiet" } };
    const plain = () => draw({ ...VIEW, rows: ROWS }, VIEW.now, mine);
    const root = document.createElement("div");
    morph(root, plain());
    const kept = KEPT.map((name) => root.querySelector(name));
    assert.ok(kept.every(Boolean));
    const put = watch(root);
    for (const tree of [draw({ ...VIEW, rows: ROWS, ...view }, VIEW.now, { ...mine, ...local }), plain()]) {
      const asked = tree.outerHTML;
      morph(root, tree);
      assert.equal(root.outerHTML, asked);
      KEPT.forEach((name, at) => assert.ok(root.querySelector(name) === kept[at], name));
    }
    assert.ok(!put.some((element) => kept.some((one) => element.contains(one))), "what is moved loses the focus");
  });
}

/** What is put into the tree below `root` from now on, new or moved. */
function watch(root) {
  const put = [];
  for (const element of [root, ...root.querySelectorAll("*")]) {
    const insert = element.insertBefore;
    element.insertBefore = function (child, before) {
      put.push(child);
      return insert.call(this, child, before);
    };
  }
  return put;
}

test("the filter's fields say what is filtered", () => {
  const local = { ...fresh(), choice: { ...fresh().choice, text: "rank=1", status: "failed" } };
  const root = document.createElement("div");
  morph(root, draw({ ...VIEW, rows: ROWS }, VIEW.now, local));
  assert.equal(root.querySelector("input").value, "rank=1");
  assert.equal(root.querySelector("select").value, "failed");
  root.querySelector("input").value = "";
  root.querySelectorAll("option")[1].selected = true;
  morph(root, draw({ ...VIEW, rows: ROWS }, VIEW.now, local));
  assert.equal(root.querySelector("input").value, "rank=1");
  assert.equal(root.querySelector("select").value, "failed");
});

const FAILED = VIEW.events[0];
const DONE = { time: "22:14:00 UTC", tone: "good", text: "work done" };

test("events are spoken in one place that stays, up to the end", () => {
  panel.render({ model, el });
  const place = el.querySelector("[aria-live]");
  assert.equal(place.textContent, "run failed");
  model.set("view", { ...VIEW, reason: "KeyError", risk: ["40 s of work"] });
  time.advance(60_000);
  model.set("view", { ...VIEW, running: false, asks: [], commands: [], events: [FAILED, DONE] });
  assert.ok(el.querySelector("[aria-live]") === place);
  assert.equal(el.querySelectorAll("[aria-live]").length, 1);
  assert.equal(place.textContent, "work done");
});

test("an answer that is shown no more brings no old event back", async () => {
  model.traits.controls = "c1";
  model.others = { c1: new Model({ hears: true }) };
  panel.render({ model, el });
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  const press = document.createEvent("Event");
  press.initEvent("click", true, true);
  el.querySelector("[data-ask=stop]").dispatchEvent(press);
  model.others.c1.emit("msg:custom", { id: 1, said: "stopping after this model" });
  const place = el.querySelector("[aria-live]");
  assert.equal(place.textContent, "stopping after this model");
  time.advance(30_000);
  assert.doesNotMatch(shown(), /stopping/);
  assert.equal(place.textContent, "stopping after this model");
});

test("when the work has ended times stand still as they were then, and nothing ticks", () => {
  panel.render({ model, el });
  time.advance(3000);
  model.set("view", { ...VIEW, now: VIEW.now + 3, running: false });
  time.advance(60_000);
  assert.match(shown(), /as of 2023-11-14 22:13:20 UTC.*saved 15 s ago/);
  assert.equal(time.pending(), 0);
  model.set("view", { ...VIEW, now: VIEW.now + 63 });
  time.advance(2000);
  assert.match(shown(), /saved 1 min 17 s ago/);
});

test("an empty view draws nothing and breaks nothing", () => {
  model.traits.view = {};
  panel.render({ model, el });
  assert.equal(shown(), "");
});

test("taken away, it listens and ticks no more", () => {
  const away = panel.render({ model, el });
  away();
  assert.equal(model.listening, 0);
  const before = shown();
  time.advance(10_000);
  assert.equal(shown(), before);
});

test("a morph gives the tree that was asked for", () => {
  const old = draw(VIEW, VIEW.now);
  const other = { ...VIEW, bars: VIEW.bars.slice(1), rows: [], reason: "KeyError", facts: [] };
  morph(old, draw(other, VIEW.now + 5));
  assert.equal(old.outerHTML, draw(other, VIEW.now + 5).outerHTML);
});

test("a curve names its marks and draws them where they happened, beside its limit", () => {
  const curve = draw(VIEW, VIEW.now).querySelector(".curve");
  assert.equal(curve.getAttribute("aria-label"), "up; marked: 1 clear");
  assert.equal(curve.querySelector(".at.clear").getAttribute("style"), "left:50%");
  assert.equal(curve.querySelector("polyline").getAttribute("points"), "0.0,25.0 50.0,13.0 100.0,1.0");
  assert.equal(curve.querySelector("line").getAttribute("y1"), "7.0");
});

test("without news for long it says so, and is silent again when there is some", () => {
  panel.render({ model, el });
  time.advance(24_000);
  assert.doesNotMatch(shown(), /No news/);
  time.advance(4000);
  assert.match(shown(), /No news from the kernel for 28 s: the connection is cut, or the kernel is in one long call, or lost\. Unless it is lost, the work goes on.*do not reload.*2023-11-14 22:13:20 UTC/);
  model.set("view", { ...VIEW, now: VIEW.now + 29 });
  assert.doesNotMatch(shown(), /No news/);
});

test("a panel whose work has ended misses no news", () => {
  model.traits.view = { ...VIEW, running: false };
  panel.render({ model, el });
  time.advance(100_000);
  assert.doesNotMatch(shown(), /No news/);
});
