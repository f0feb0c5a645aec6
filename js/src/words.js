// Times in words, as the Python side says them (colab_guard/panel/words.py).

/**
 * A sentence: text, moments ("12 s ago"), beginnings ("12 s") and ranges ("in 12 to 17 min"), so that times run on
 * without the kernel.
 * @typedef {(string | {ago: number} | {since: number} | {low: number, high: number})[]} Sentence
 */

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** @param {number} ms since the epoch; the answer is by this page's clock */
export const timeOfDay = (ms) => new Date(ms).toTimeString().slice(0, 8);

/**
 * An estimate.
 * @param {number} seconds
 */
export function rough(seconds) {
  if (seconds < 90) return `${Math.max(10, Math.ceil(seconds / 10) * 10)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds >= 36_000) return `${Math.round(seconds / 3600)} h`;
  const tens = Math.round(seconds / 600);
  return `${Math.floor(tens / 6)} h ${String((tens % 6) * 10).padStart(2, "0")} min`;
}

/**
 * Two estimates as one.
 * @param {number} low
 * @param {number} high
 */
export function between(low, high) {
  const [one, other] = [rough(low), rough(Math.max(low, high))];
  if (one === other) return `about ${one}`;
  const [a, b] = [one.split(" "), other.split(" ")];
  return a.length === 2 && b.length === 2 && a[1] === b[1] ? `${a[0]} to ${other}` : `${one} to ${other}`;
}

/**
 * @param {Sentence} sentence
 * @param {number} now seconds since the epoch, by the kernel's clock
 */
export function plain(sentence, now) {
  return sentence
    .map((part) => {
      if (typeof part === "string") return part;
      if ("low" in part) return `in ${between(part.low - now, part.high - now)}`;
      return "ago" in part ? `${duration(now - part.ago)} ago` : duration(now - part.since);
    })
    .join("");
}
