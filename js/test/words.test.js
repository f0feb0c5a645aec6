import assert from "node:assert/strict";
import { test } from "vitest";
import { between, duration, plain, rough } from "../src/words.js";

test("durations read as the Python side says them", () => {
  assert.deepEqual([0, 12.4, 59.4, 60, 245, 3600, 7980, -3].map(duration), [
    "0 s", "12 s", "59 s", "1 min 00 s", "4 min 05 s", "1 h 00 min", "2 h 13 min", "0 s",
  ]);
});

test("a sentence's moments and beginnings run on with the clock", () => {
  assert.equal(plain(["saved ", { ago: 88 }, ", risk ", { since: 40 }], 100), "saved 12 s ago, risk 1 min 00 s");
});

test("estimates are rough, and two of them one range, as the Python side says them", () => {
  assert.deepEqual([4, 41, 89, 90, 720, 5399, 5400, 7900, 36_000].map(rough), [
    "10 s", "50 s", "90 s", "2 min", "12 min", "90 min", "1 h 30 min", "2 h 10 min", "10 h",
  ]);
  assert.deepEqual([between(720, 1020), between(50, 130), between(700, 730), between(5000, 8000)], [
    "12 to 17 min", "50 s to 2 min", "about 12 min", "83 min to 2 h 10 min",
  ]);
});

test("a range of the end moves on with the clock", () => {
  assert.equal(plain(["ends ", { low: 820, high: 1120 }], 100), "ends in 12 to 17 min");
  assert.equal(plain(["ends ", { low: 820, high: 1120 }], 700), "ends in 2 to 7 min");
});
