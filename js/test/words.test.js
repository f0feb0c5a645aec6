import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, plain } from "../src/words.js";

test("durations read as the Python side says them", () => {
  assert.deepEqual([0, 12.4, 59.4, 60, 245, 3600, 7980, -3].map(duration), [
    "0 s", "12 s", "59 s", "1 min 00 s", "4 min 05 s", "1 h 00 min", "2 h 13 min", "0 s",
  ]);
});

test("a sentence's moments and beginnings run on with the clock", () => {
  assert.equal(plain(["saved ", { ago: 88 }, ", risk ", { since: 40 }], 100), "saved 12 s ago, risk 1 min 00 s");
});
