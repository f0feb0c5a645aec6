// What is known of the connection: a plain state machine, without a page or a clock of its own. Times in milliseconds.
import { duration } from "./words.js";

// intervals; the kernel drops a ping that is older than that unanswered (colab_guard/keepalive/pings.py, STALE_AFTER)
export const GIVE_UP_AFTER = 2;

/**
 * @typedef {{id: number, at: number} | null} Outstanding
 */
export class Link {
  /** @param {number} everyMs */
  constructor(everyMs) {
    this.everyMs = everyMs;
    /** @type {Outstanding} */
    this.outstanding = null;
    this.pongs = 0;
    /** @type {number | null} */
    this.heardAt = null;
    /** @type {number | null} */
    this.roundTripMs = null;
    /** @type {number | null} */
    this.serverLostAt = null;
    this.nextId = 1;
  }

  /**
   * The ping to send now; null while one is outstanding.
   * @param {number} now
   */
  ping(now) {
    if (this.outstanding && now - this.outstanding.at < GIVE_UP_AFTER * this.everyMs) return null;
    const id = this.nextId++;
    this.outstanding = { id, at: now };
    return { type: "ping", id, sent_ms: now, ...(this.roundTripMs === null ? {} : { round_trip_ms: this.roundTripMs }) };
  }

  /**
   * @param {{type?: unknown, id?: unknown}} message
   * @param {number} now
   */
  message(message, now) {
    if (message?.type !== "pong" || message.id !== this.outstanding?.id) return;
    this.roundTripMs = now - (this.outstanding?.at ?? now);
    this.outstanding = null;
    this.pongs += 1;
    this.heard(now);
  }

  /**
   * Any sign of the kernel: an answer, or a trait that changed.
   * @param {number} now
   */
  heard(now) {
    this.heardAt = now;
    this.serverLostAt = null;
  }

  /**
   * @param {boolean} reached whether the server answered a check
   * @param {number} now
   */
  checked(reached, now) {
    if (reached) this.serverLostAt = null;
    else this.serverLostAt ??= now;
  }

  /**
   * @param {number} now
   * @returns {{tone: string, text: string}}
   */
  words(now) {
    const ago = (/** @type {number} */ at) => `${duration((now - at) / 1000)} ago`;
    const heard = this.heardAt === null ? "kernel not heard yet" : `kernel heard ${ago(this.heardAt)}`;
    const trip = this.roundTripMs === null ? "" : `, round trip ${Math.round(this.roundTripMs)} ms`;
    if (this.serverLostAt !== null) {
      const since = duration((now - this.serverLostAt) / 1000);
      return { tone: "bad", text: `connection LOST for ${since} (${heard}); the work goes on, the page reconnects by itself, do not reload` };
    }
    const silent = now - (this.heardAt ?? this.outstanding?.at ?? now);
    if (silent > 2.5 * this.everyMs) {
      return { tone: "warn", text: `kernel SILENT for ${duration(silent / 1000)}; it may be busy or lost. If it is lost, run the same cells again` };
    }
    return { tone: "good", text: `connected: ${heard}${trip}` };
  }
}
