// What is known of the connection: a plain state machine, without a page or a clock of its own. Times in milliseconds.
import { duration, timeOfDay } from "./words.js";

// intervals; the kernel drops a ping that is older than that unanswered (colab_guard/keepalive/pings.py, STALE_AFTER)
export const GIVE_UP_AFTER = 2;
// beats that may be late before the kernel counts as silent: with one each 10 s that is said within 30 s
const SILENT_AFTER = 2.5;
const LEAST_SILENT_MS = 10_000;

/**
 * @typedef {{id: number, at: number} | null} Outstanding
 * @typedef {{ms: number, pings: number}} Outage how long nothing was heard, and the pings that fell into it
 */
export class Link {
  /**
   * @param {number} everyMs between two pings
   * @param {number} beatMs between two signs of the kernel
   * @param {number} openedAt when the page was opened: a sign is due from then on
   */
  constructor(everyMs, beatMs = everyMs, openedAt = 0) {
    this.everyMs = everyMs;
    this.silentMs = Math.max(LEAST_SILENT_MS, SILENT_AFTER * beatMs);
    /** @type {Outstanding} */
    this.outstanding = null;
    this.pongs = 0;
    /** @type {number | null} */
    this.heardAt = null;
    this.openedAt = openedAt;
    /** @type {number | null} */
    this.roundTripMs = null;
    /** @type {number | null} */
    this.serverLostAt = null;
    /** @type {string | null} what the server says of the kernel: "busy", "idle", "dead", "gone" ... */
    this.kernelState = null;
    this.closed = false; // by the host, as it does when it starts the kernel anew
    /** @type {number | null} */
    this.awayFrom = null;
    this.missedPings = 0;
    /** @type {Outage | null} the last one */
    this.outage = null;
    this.outages = 0;
    this.nextId = 1;
  }

  /**
   * The ping to send now; null while one is outstanding.
   * @param {number} now
   * @param {boolean} [due] whether its interval has passed: a check between two pings is none that could be missed
   */
  ping(now, due = true) {
    if (this.lost(now) && due) this.missedPings += 1;
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
    this.lost(now);
    this.heardAt = now;
    this.serverLostAt = null;
    this.kernelState = null;
    this.closed = false;
    this.lost(now);
  }

  /**
   * @param {boolean} reached whether the server answered a check
   * @param {number} now
   * @param {string | null} [kernelState] what it said of the kernel, where it was asked
   * @param {number} [begunAt] when it was asked: if the kernel was heard since, what is bad is out of date
   */
  checked(reached, now, kernelState = null, begunAt = now) {
    const outdated = this.heardAt !== null && this.heardAt > begunAt;
    if (reached) this.serverLostAt = null;
    else if (!outdated) this.serverLostAt ??= now;
    this.kernelState = reached && !outdated ? kernelState : null;
    this.lost(now);
  }

  /**
   * Whether server or kernel are lost now. Looked at often, it also notes when that begins and ends.
   * @param {number} now
   */
  lost(now) {
    const lost = this.serverLostAt !== null || this.#silent(now);
    if (lost) this.awayFrom ??= Math.min(this.serverLostAt ?? now, this.#sign);
    else if (this.awayFrom !== null) {
      this.outage = { ms: now - this.awayFrom, pings: this.missedPings };
      this.outages += 1;
      this.awayFrom = null;
      this.missedPings = 0;
    }
    return lost;
  }

  /** When it was last heard, or should have begun to be. */
  get #sign() {
    return this.heardAt ?? this.openedAt;
  }

  /** @param {number} now */
  #silent(now) {
    return now - this.#sign > this.silentMs;
  }

  /**
   * Whether this kernel is no more: it is silent, and the server says so, or the host has closed its comm.
   * @param {number} now
   */
  over(now) {
    return this.#silent(now) && (this.closed || this.kernelState === "gone" || this.kernelState === "dead");
  }

  /**
   * @param {number} now
   * @param {string} resume what to do if the kernel is lost
   * @returns {{tone: string, text: string}}
   */
  words(now, resume = "run the same cells again") {
    const lost = this.lost(now);
    const ago = (/** @type {number} */ at) => `${duration((now - at) / 1000)} ago`;
    const heard = this.heardAt === null ? "kernel not heard yet" : `kernel heard ${ago(this.heardAt)}`;
    if (this.over(now)) {
      const last = this.heardAt === null ? "never heard" : `last heard at ${timeOfDay(this.heardAt)}`; // nothing is drawn any more
      return { tone: "bad", text: `the kernel is GONE (${last}): ${resume}` };
    }
    if (this.serverLostAt !== null) {
      const since = duration((now - this.serverLostAt) / 1000);
      const cut = "if only the connection is cut, the work goes on and the page reconnects by itself, do not reload";
      return { tone: "bad", text: `connection LOST for ${since} (${heard}); ${cut}; if the server is gone, ${resume}` };
    }
    if (lost) {
      const silent = duration((now - this.#sign) / 1000);
      if (this.kernelState === "starting" || this.kernelState === "restarting") {
        return { tone: "bad", text: `kernel SILENT for ${silent}, and it is being started anew. To go on, ${resume}` };
      }
      if (this.kernelState === "idle") {
        // no proof of a new kernel: whatever a subshell answers beside a busy cell makes its state idle too
        const look = "look at the prompt, [*] is a cell that runs; do not reload";
        return { tone: "warn", text: `kernel SILENT for ${silent}: busy in one long call, or started anew: ${look}. If it was, ${resume}` };
      }
      return { tone: "warn", text: `kernel SILENT for ${silent}: busy in one long call, or the connection is lost; do not reload. If it is gone, ${resume}` };
    }
    if (this.heardAt === null) return { tone: "quiet", text: "waiting for the kernel's first sign" };
    const trip = this.roundTripMs === null ? "" : `, round trip ${Math.round(this.roundTripMs)} ms`;
    return { tone: "good", text: `connected: ${heard}${trip}${this.#missed()}` };
  }

  #missed() {
    if (!this.outage) return "";
    const pings = this.outage.pings === 1 ? "1 ping" : `${this.outage.pings} pings`;
    const times = this.outages > 1 ? `, ${this.outages} times in all` : "";
    return `; was away for ${duration(this.outage.ms / 1000)} (${pings} missed${times})`;
  }
}
