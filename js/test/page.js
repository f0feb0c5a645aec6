// A small document, a mock model and a clock that is moved by hand.
import { parseHTML } from "linkedom";
import { vi } from "vitest";

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
  /** What a host's manager does: it gives the model that has this id. */
  get widget_manager() {
    return { get_model: async (id) => this.others?.[id] ?? Promise.reject(new Error("none")) };
  }
  get listening() {
    return [...this.calls.values()].flat().length;
  }
}

/** Stop time; `advance(ms)` moves it. */
export function clock(now = 1_700_000_000_000) {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval", "setTimeout", "clearTimeout"], now });
  return { advance: (ms) => vi.advanceTimersByTime(ms), pending: () => vi.getTimerCount(), restore: () => vi.useRealTimers() };
}

const row = (index, status, order, more = {}) => ({
  index, sign: "✓", status, label: `run ${index}`, params: `rank=${index}`, metric: "", steps: "3 steps", time: "12 s", peak: "3.1 GiB",
  commit: "saved 1-4", reason: "", did: "", order, ...more,
});
/** As the kernel sends a row: its values. */
export const values = (...given) => Object.values(row(...given));

const bar = (label, words, parts, total, more = {}) => ({ label, words: [words], parts, total, mark: null, peak: null, series: null, tone: "calm", ...more });

export const VIEW = {
  now: 1_700_000_000,
  as_of: "2023-11-14 22:13:20 UTC",
  title: "lora-39",
  sign: "▶",
  phase: "running",
  tone: "calm",
  running: true,
  elapsed: ["for ", { since: 1_700_000_000 - 90 }],
  count: "4 of 39 models",
  eta: ["ends ", { low: 1_700_000_000 + 720, high: 1_700_000_000 + 1020 }],
  reason: "",
  safety: ["saved ", { ago: 1_700_000_000 - 12 }, ": would resume at model 16, step 400"],
  safety_tone: "good",
  risk: [],
  bars: [
    bar("sweep", "3 of 39 done, 1 failed", [{ label: "done", value: 3, kind: "fill" }, { label: "failed", value: 1, kind: "bad" }], 39),
    bar("GPU", "n/a (no GPU)", [], 0),
    bar("RAM", "3 GiB", [{ label: "used", value: 3, kind: "fill" }, { label: "others", value: 0, kind: "other" }], 12, {
      mark: 9,
      peak: 6,
      series: { points: [0, 50, 100], label: "up; marked: 1 clear", line: 75, marks: [[50, "clear"]] },
    }),
  ],
  rows: [
    values(3, "failed", [null, 3, 12, 100], { sign: "✗", label: "<b>run</b>", params: "rank=4", reason: "<script>alert(1)</script>", did: "the next run began" }),
  ],
  more: "38 more",
  facts: [{ label: "mirror", words: ["FOLDER: ok"], tone: "calm" }],
  events: [{ time: "22:13:20 UTC", tone: "bad", text: "run failed" }],
  commands: [["stop", "colab-guard stop lora-39"]],
  asks: [["stop", "stop after this model", "in a terminal: colab-guard stop lora-39"], ["commit", "commit now", "wait"]],
  started: 1_699_999_910,
  peak_of: "GPU",
};
