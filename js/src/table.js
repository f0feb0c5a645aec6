// The runs' table: sorted, filtered and unfolded in the page, without the kernel.
import { h } from "./dom.js";

const SHOWN = 10;
// as colab_guard/panel/view.py, Row
const FIELDS = ["index", "sign", "status", "label", "params", "metric", "steps", "time", "peak", "commit", "reason", "did", "order"];
const STATUSES = ["all", "running", "done", "failed"];

/**
 * @typedef {{index: number, sign: string, status: string, label: string, params: string, metric: string, steps: string,
 *   time: string, peak: string, commit: string, reason: string, did: string, order: (number | null)[]}} Row
 * @typedef {{column: string, down: boolean, text: string, status: string, open: boolean}} Choice
 */

/** @type {Record<string, (row: Row) => string | number | null>} */
const COLUMNS = {
  status: (row) => row.status,
  run: (row) => row.index,
  parameters: (row) => row.params,
  result: (row) => row.order[0] ?? null,
  steps: (row) => row.order[1] ?? null,
  time: (row) => row.order[2] ?? null,
  peak: (row) => row.order[3] ?? null,
  commit: (row) => row.commit,
};

/** @returns {Choice} */
export const untouched = () => ({ column: "", down: false, text: "", status: "all", open: false });

/** @param {unknown[]} values */
export const asRow = (values) => /** @type {Row} */ (Object.fromEntries(FIELDS.map((name, at) => [name, values[at]])));

/**
 * The rows to show, and how many more there are that can be.
 * @param {Row[]} rows those in sight
 * @param {Row[]} ended all that have ended and are known
 * @param {Choice} choice
 * @returns {{shown: Row[], hidden: number, known: number}}
 */
export function chosen(rows, ended, choice) {
  const all = new Map(ended.map((row) => [row.index, row]));
  for (const row of rows) all.set(row.index, row);
  const plainly = !choice.column && !choice.text && choice.status === "all";
  if (plainly && !choice.open) return { shown: rows, hidden: 0, known: all.size };
  const words = choice.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...all.values()]
    .filter((row) => choice.status === "all" || row.status.startsWith(choice.status))
    .filter((row) => words.every((word) => text(row).includes(word)))
    .sort((a, b) => a.index - b.index);
  if (choice.column) found.sort(order(COLUMNS[choice.column], choice.down));
  const shown = choice.open ? found : found.slice(0, SHOWN);
  return { shown, hidden: found.length - shown.length, known: all.size };
}

/** @param {Row} row */
const text = (row) => `${row.status} ${row.label} ${row.params} ${row.metric} ${row.reason} ${row.did} ${row.commit}`.toLowerCase();

/**
 * What is not known stands last, whichever way is up.
 * @param {(row: Row) => string | number | null} key
 * @param {boolean} down
 */
function order(key, down) {
  return (/** @type {Row} */ a, /** @type {Row} */ b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  };
}

/**
 * The choice after a heading was pressed: upwards, downwards, as before.
 * @param {Choice} choice
 * @param {string} column
 * @returns {Choice}
 */
export function sorted(choice, column) {
  if (choice.column !== column) return { ...choice, column, down: column === "result" };
  const first = column === "result";
  return choice.down === first ? { ...choice, down: !first } : { ...choice, column: "", down: false };
}

/**
 * @param {Row[]} rows
 * @param {Row[]} ended
 * @param {string} more
 * @param {string} peakOf
 * @param {Choice} choice
 */
export function drawRuns(rows, ended, more, peakOf, choice) {
  const { shown, hidden, known } = chosen(rows, ended, choice);
  return h(
    "div",
    { class: "table" },
    known > 1 ? drawTools(choice, known, rows.length) : null,
    h(
      "div",
      { class: "runs", "data-key": "runs", role: "group", "aria-label": "runs", tabindex: 0 },
      h(
        "table",
        { role: "table" },
        h(
          "thead",
          { role: "rowgroup" },
          h("tr", { role: "row" }, ...Object.keys(COLUMNS).map((name) => drawHeading(name, peakOf, choice))),
        ),
        h("tbody", { role: "rowgroup" }, ...shown.map(drawRow), shown.length ? null : drawNote("no run is like that")),
      ),
    ),
    drawMore(more, hidden, choice, rows.length, shown.length),
  );
}

/**
 * @param {Choice} choice
 * @param {number} known
 * @param {number} inSight
 */
function drawTools(choice, known, inSight) {
  return h(
    "div",
    { class: "tools", "data-key": "tools", "data-lm-suppress-shortcuts": "true" }, // JupyterLab's keys (Lumino) rest while one types here
    h("input", {
      type: "search",
      value: choice.text,
      "data-filter": "text",
      placeholder: "filter runs",
      "aria-label": "filter runs by text",
      autocomplete: "off",
    }),
    h(
      "select",
      { "data-filter": "status", "aria-label": "filter runs by status" },
      ...STATUSES.map((status) =>
        h("option", { value: status, selected: status === choice.status ? "" : undefined }, status === "all" ? "any status" : status),
      ),
    ),
    known > inSight || choice.open
      ? h("button", { type: "button", "data-do": "open", "aria-expanded": String(choice.open) }, choice.open ? "show fewer" : `show all ${known}`)
      : null,
  );
}

/**
 * @param {string} name
 * @param {string} peakOf
 * @param {Choice} choice
 */
function drawHeading(name, peakOf, choice) {
  const mine = choice.column === name;
  const sort = mine ? (choice.down ? "descending" : "ascending") : "none";
  const words = name === "peak" && peakOf ? `peak (${peakOf})` : name;
  const sign = mine ? h("span", { "aria-hidden": "true" }, choice.down ? " ↓" : " ↑") : null;
  const button = h("button", { type: "button", "data-sort": name, title: `sort by ${name}` }, words, sign);
  return h("th", { scope: "col", role: "columnheader", "aria-sort": sort }, button);
}

/**
 * @param {string} more
 * @param {number} hidden
 * @param {Choice} choice
 * @param {number} inSight
 * @param {number} shown
 */
function drawMore(more, hidden, choice, inSight, shown) {
  if (hidden) return h("div", { class: "more quiet" }, `… ${hidden} more match`);
  const beyond = more && !choice.text && choice.status === "all" ? Number(more.replace(/\D/g, "")) + inSight - shown : 0;
  return beyond > 0 ? h("div", { class: "more quiet" }, `… ${beyond.toLocaleString("en")} more (sweep.results has all)`) : null;
}

/** @param {string} words */
const drawNote = (words) => h("tr", { role: "row" }, h("td", { colspan: 8, class: "quiet", role: "cell" }, words));

/** @param {Row} row */
function drawRow(row) {
  const cell = (/** @type {string} */ kind, /** @type {(Node | string | null)[]} */ ...children) => h("td", { class: kind, role: "cell" }, ...children);
  const result = row.reason || row.metric;
  return h(
    "tr",
    { class: row.status.split(" ")[0], role: "row" },
    cell("status", h("span", { "aria-hidden": "true" }, row.sign), ` ${row.status} `),
    h("th", { scope: "row", role: "rowheader" }, `${row.label} `),
    cell("params", `${row.params} `),
    cell("result", result, row.did ? h("span", { class: "did" }, `${result ? " → " : ""}${row.did}`) : null, " "),
    cell("n", `${row.steps} `),
    cell("n", `${row.time} `),
    cell("n", `${row.peak} `),
    cell("commit", row.commit),
  );
}
