import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { morph } from "../src/dom.js";
import { draw } from "../src/draw.js";
import { clock, Model, page, VIEW } from "./page.js";
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
  const order = ["running", "lora-39", "saved 12 s ago", "3 of 39 done", "n/a", "✗ failed", "38 more", "FOLDER: ok", "colab-guard stop"];
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
  const button = el.querySelector("button");
  model.set("view", { ...VIEW, title: "other", more: "" });
  assert.equal(el.querySelector("button"), button);
  assert.match(shown(), /other/);
  assert.doesNotMatch(shown(), /38 more/);
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
