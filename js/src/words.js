// Times in words, as the Python side says them (colab_guard/panel/words.py).

/**
 * A sentence: text, moments ("12 s ago") and beginnings ("12 s"), so that times run on without the kernel.
 * @typedef {(string | {ago: number} | {since: number})[]} Sentence
 */

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/**
 * @param {Sentence} sentence
 * @param {number} now seconds since the epoch, by the kernel's clock
 */
export function plain(sentence, now) {
  return sentence
    .map((part) => {
      if (typeof part === "string") return part;
      return "ago" in part ? `${duration(now - part.ago)} ago` : duration(now - part.since);
    })
    .join("");
}
