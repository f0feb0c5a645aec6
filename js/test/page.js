// A small document, a mock model and a clock that is moved by hand.
import { parseHTML } from "linkedom";
import { mock } from "node:test";

/** Make `document` and its kind global, as in a page. */
export function page(html = "<html><body></body></html>") {
  const { document, window } = parseHTML(html);
  Object.assign(globalThis, { document, Node: window.Node });
  return document;
}

/** A widget's model: traits, events and what was sent. */
export class Model {
  constructor(traits) {
    this.traits = traits;
    this.calls = new Map();
    this.sent = [];
  }
  get(name) {
    return this.traits[name];
  }
  set(name, value) {
    this.traits[name] = value;
    this.emit(`change:${name}`);
  }
  on(event, call) {
    this.calls.set(event, [...(this.calls.get(event) ?? []), call]);
  }
  off(event, call) {
    this.calls.set(event, (this.calls.get(event) ?? []).filter((known) => known !== call));
  }
  emit(event, ...values) {
    for (const call of this.calls.get(event) ?? []) call(...values);
  }
  send(content) {
    this.sent.push(content);
  }
  get listening() {
    return [...this.calls.values()].flat().length;
  }
}

/** Stop time; `advance(ms)` moves it. */
export function clock(now = 1_700_000_000_000) {
  mock.timers.enable({ apis: ["Date", "setInterval", "setTimeout"], now });
  return { advance: (ms) => mock.timers.tick(ms), restore: () => mock.timers.reset() };
}

export const VIEW = {
  now: 1_700_000_000,
  as_of: "",
  title: "lora-39",
  sign: "▶",
  phase: "running",
  tone: "calm",
  running: true,
  elapsed: ["for ", { since: 1_700_000_000 - 90 }],
  reason: "",
  safety: ["saved ", { ago: 1_700_000_000 - 12 }, ": would resume at model 16, step 400"],
  safety_tone: "good",
  risk: [],
  bars: [
    { label: "sweep", words: ["3 of 39 done, 1 failed"], value: 3, total: 39, bad: 1, mark: null, series: [], series_label: "", tone: "calm" },
    { label: "GPU", words: ["n/a (no GPU)"], value: 0, total: 0, bad: 0, mark: null, series: [], series_label: "", tone: "calm" },
    { label: "RAM", words: ["3 GiB"], value: 3, total: 12, bad: 0, mark: 9, series: [0, 0.5, 1], series_label: "up", tone: "calm" },
  ],
  rows: [
    { sign: "✗", status: "failed", label: "<b>run</b>", params: "rank=4", metric: "", steps: "3 steps", time: "12 s", reason: "<script>alert(1)</script>" },
  ],
  more: "38 more",
  facts: [{ label: "mirror", words: ["FOLDER: ok"], tone: "calm" }],
  events: [{ time: "22:13:20 UTC", tone: "bad", text: "run failed" }],
  commands: [["stop", "colab-guard stop lora-39"]],
};
