// What a person does in the page: sort, filter, unfold, pause, copy, and ask.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { Controls } from "../src/controls.js";
import { asRow, chosen, sorted, untouched } from "../src/table.js";
import { clock, Model, page, values, VIEW } from "./page.js";
import panel from "../../colab_guard/static/panel.js";

const ENDED = [
  values(0, "done", [0.7, 400, 60, 9]),
  values(1, "failed", [null, 3, 5, 2], { reason: "ValueError: no", params: "model=swin" }),
  values(2, "done", [0.9, 400, 50, 11], { params: "model=swin" }),
  values(3, "done (before)", [0.8, null, null, null]),
];
const RUNNING = values(4, "running", [null, 12, 3, 4]);

let time, el, model, controls, document;
beforeEach(() => {
  time = clock();
  document = page();
  el = document.createElement("div");
  controls = new Model({ hears: true });
  model = new Model({ view: { ...VIEW, rows: [ENDED[2], ENDED[3], RUNNING], more: "36 more" }, controls: "c1", ended0: ENDED.slice(0, 2), ended1: ENDED.slice(2) });
  model.others = { c1: controls };
});
afterEach(() => time.restore());

const event = (type, target) => {
  const made = document.createEvent("Event");
  made.initEvent(type, true, true);
  target.dispatchEvent(made);
};
const press = (name) => {
  const found = [...el.querySelectorAll("button")].find((button) => button.textContent.replace(/ [↑↓]$/, "") === name);
  assert.ok(found, `a button ${name}`);
  event("click", found);
};
const fill = (name, text) => {
  const field = el.querySelector(`[data-filter=${name}]`);
  Object.defineProperty(field, "value", { value: text, configurable: true, writable: true });
  event("input", field);
};
const runs = () => [...el.querySelectorAll("tbody th")].map((cell) => cell.textContent.trim());
const words = () => el.querySelector(".colab-guard > div").textContent.replace(/\s+/g, " ");
const settled = async () => { for (let turn = 0; turn < 5; turn += 1) await Promise.resolve(); };

test("unfolded, all ended runs are there, each once, with the running one", () => {
  panel.render({ model, el });
  assert.deepEqual(runs(), ["run 2", "run 3", "run 4"]);
  press("show all 5");
  assert.deepEqual(runs(), ["run 0", "run 1", "run 2", "run 3", "run 4"]);
  assert.match(words(), /… 34 more \(sweep.results has all\)/);
  press("show fewer");
  assert.deepEqual(runs(), ["run 2", "run 3", "run 4"]);
});

test("a heading sorts by what it stands for, all runs that are known, what is not known last", () => {
  panel.render({ model, el });
  press("result");
  assert.deepEqual(runs(), ["run 2", "run 3", "run 0", "run 1", "run 4"]);
  assert.equal(el.querySelector("th[aria-sort=descending] button").textContent, "result ↓");
  press("result");
  assert.deepEqual(runs(), ["run 0", "run 3", "run 2", "run 1", "run 4"]);
  press("result");
  assert.deepEqual(runs(), ["run 2", "run 3", "run 4"]);
  press("time");
  assert.deepEqual(runs().slice(0, 2), ["run 4", "run 1"]);
});

test("text and status filter all runs that are known", () => {
  panel.render({ model, el });
  fill("text", "SWIN");
  assert.deepEqual(runs(), ["run 1", "run 2"]);
  fill("status", "failed");
  assert.deepEqual(runs(), ["run 1"]);
  fill("text", "nothing like it");
  assert.deepEqual(runs(), []);
  assert.match(words(), /no run is like that/);
});

test("what was chosen survives updates, and new runs take their place in it", () => {
  panel.render({ model, el });
  press("result");
  press("show all 5");
  const field = el.querySelector("[data-filter=text]");
  model.traits.ended1 = [...ENDED.slice(2), values(4, "done", [0.95, 400, 60, 9])];
  model.set("view", { ...model.traits.view, rows: [values(5, "running", [null, 1, 1, 1])] });
  assert.deepEqual(runs(), ["run 4", "run 2", "run 3", "run 0", "run 1", "run 5"]);
  assert.equal(el.querySelector("[data-filter=text]"), field);
});

test("ten runs at most are shown until unfolded", () => {
  const many = Array.from({ length: 30 }, (_, index) => asRow(values(index, "done", [index, 1, 1, 1])));
  const choice = sorted(untouched(), "result");
  const { shown, hidden } = chosen([], many, choice);
  assert.deepEqual([shown.length, shown[0].index, hidden], [10, 29, 20]);
  assert.equal(chosen([], many, { ...choice, open: true }).shown.length, 30);
});

test("paused, nothing moves but a word that says so; then it is as it stands", () => {
  panel.render({ model, el });
  press("pause display");
  model.set("view", { ...model.traits.view, title: "later" });
  time.advance(5000);
  assert.match(words(), /lora-39.*Display paused: this is how it stood at 2023-11-14 22:13:20 UTC/);
  assert.match(words(), /saved 12 s ago/);
  assert.equal(el.querySelector("[data-do=pause]").getAttribute("aria-pressed"), "true");
  press("go on showing");
  assert.match(words(), /later/);
});

test("paused, the table stands still too", () => {
  panel.render({ model, el });
  press("result");
  press("pause display");
  const before = runs();
  model.set("ended1", [...ENDED.slice(2), values(5, "done", [0.99, 400, 60, 9])]);
  assert.deepEqual(runs(), before);
  press("go on showing");
  assert.equal(runs()[0], "run 5");
});

test("a display that is paused shows the end", () => {
  panel.render({ model, el });
  press("pause display");
  model.set("view", { ...model.traits.view, running: false, phase: "done" });
  assert.match(words(), /▶ done/);
});

test("a button asks the kernel, and says what it answered", async () => {
  panel.render({ model, el });
  await settled();
  press("stop after this model");
  assert.deepEqual(controls.sent, [{ ask: "stop", id: 1, started: VIEW.started }]);
  assert.match(words(), /asked …/);
  controls.emit("msg:custom", { id: 1, said: "stopping after this model" });
  assert.match(words(), /commit now ?stopping after this model/);
});

test("without an answer for two seconds the words that work instead are shown", async () => {
  panel.render({ model, el });
  await settled();
  press("stop after this model");
  time.advance(1900);
  assert.doesNotMatch(words(), /does not answer/);
  time.advance(200);
  assert.match(words(), /The kernel does not answer while it is busy. Instead: in a terminal: colab-guard stop lora-39/);
});

test("a late answer is still one, an answer to something else is none", async () => {
  panel.render({ model, el });
  await settled();
  press("commit now");
  time.advance(3000);
  controls.emit("msg:custom", { id: 9, said: "something else" });
  assert.match(words(), /does not answer/);
  controls.emit("msg:custom", { id: 1, said: "saving at the next safe point" });
  assert.match(words(), /saving at the next safe point/);
});

test("a kernel that hears only between cells has no buttons, and it is said what to do", async () => {
  controls.traits.hears = false;
  panel.render({ model, el });
  await settled();
  assert.equal(el.querySelector("[data-ask]"), null);
  assert.match(words(), /hears the page only between cells.*colab-guard stop lora-39/);
});

test("a host that hands out no models is answered with the words that work instead", async () => {
  model.others = {};
  panel.render({ model, el });
  await settled();
  press("stop after this model");
  assert.match(words(), /This page cannot ask the kernel. Instead: in a terminal/);
});

test("a host that has closed the comm is answered with the words that work instead", async () => {
  panel.render({ model, el });
  await settled();
  controls.send = () => {
    throw new Error("Cannot send");
  };
  press("stop after this model");
  assert.match(words(), /This page cannot ask the kernel. Instead: in a terminal/);
});

test("a host that gives undefined for a model has none", async () => {
  const found = new Controls(() => {});
  await found.find("c1", { get_model: () => undefined });
  assert.equal(found.remote, null);
});

test("closed before its model was found, it listens to nothing", async () => {
  const found = new Controls(() => {});
  const finding = found.find("c1", model.widget_manager);
  found.close();
  await finding;
  assert.equal(controls.listening, 0);
});

test("without controls there is nothing to press", async () => {
  model.traits.controls = "";
  panel.render({ model, el });
  await settled();
  assert.equal(el.querySelector("[data-ask]"), null);
});

test("taken away, it listens no more to anything", async () => {
  const away = panel.render({ model, el });
  await settled();
  assert.ok(controls.listening > 0);
  away();
  assert.equal(model.listening + controls.listening, 0);
});
