// What the page asks of the kernel: stop, commit. Its Python half is `Controls` in colab_guard/panel/widget.py.
//
//   page → kernel   {ask: "stop" | "commit", id, started}; `started` tells for which work it is meant, others drop it
//   kernel → page   {id, said}; on a comm on which the kernel's main thread never sends, else a busy kernel would not hear
//
// What is not answered within two seconds is not promised: then the words that work without it are shown.

const ANSWER_MS = 2000;
const SHOWN_MS = 20_000;

/**
 * @typedef {{get(name: string): any, send(content: any): void, on(event: string, call: (content: any) => void): void,
 *   off(event: string, call: (content: any) => void): void}} Remote
 * @typedef {{get_model(id: string): Promise<Remote> | undefined}} Manager ipywidgets 7 gives undefined for an id that it does not know
 */

export class Controls {
  /** @param {() => void} changed called when there is something new to show */
  constructor(changed) {
    this.changed = changed;
    /** @type {Remote | null} */
    this.remote = null;
    this.closed = false;
    this.deaf = false;
    this.said = "";
    this.tone = "quiet";
    this.nextId = 1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.answered = (/** @type {any} */ content) => this.answer(content);
  }

  /**
   * @param {string} id
   * @param {Manager | undefined} manager
   */
  async find(id, manager) {
    if (!id || !manager) return;
    /** @type {Remote | undefined} */
    let remote;
    try {
      remote = await manager.get_model(id);
    } catch {
      return; // a host that keeps models apart: the words that work without it stay
    }
    if (!remote || this.closed) return;
    this.remote = remote;
    this.deaf = !remote.get("hears");
    remote.on("msg:custom", this.answered);
    this.changed();
  }

  /**
   * @param {string} word
   * @param {number | null} started
   * @param {string} instead
   */
  ask(word, started, instead) {
    const id = this.nextId++;
    const cannot = `This page cannot ask the kernel. Instead: ${instead}`;
    if (!this.remote) return this.say("warn", cannot);
    this.say("quiet", "asked …", ANSWER_MS, () => this.say("warn", `The kernel does not answer while it is busy. Instead: ${instead}`));
    try {
      this.remote.send({ ask: word, id, started });
    } catch {
      this.say("warn", cannot); // the host has closed the comm
    }
  }

  /** @param {{id?: number, said?: string}} content */
  answer(content) {
    if (content?.id !== this.nextId - 1 || typeof content.said !== "string") return;
    this.say("good", content.said);
  }

  /**
   * @param {string} tone
   * @param {string} said
   * @param {number} ms
   * @param {() => void} then
   */
  say(tone, said, ms = SHOWN_MS, then = () => this.say("quiet", "", 0)) {
    clearTimeout(this.timer);
    [this.tone, this.said] = [tone, said];
    if (said) this.timer = setTimeout(then, ms);
    this.changed();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.changed = () => {};
    this.remote?.off("msg:custom", this.answered);
  }
}
