// colab_guard: for Colab's own page, put there by your own hands. What it does, and nothing else:
//   every 30 s it looks whether the runtime is disconnected; if so, and if this notebook's connection widget said within the last
//   15 min that guarded work runs, it presses Connect. Five times at most. While a dialog or a CAPTCHA is open it does nothing.
//   It ends by itself: after five presses, when the work has not been heard of for 15 min, or never within 2 h.
// It hears only messages that carry this run's nonce and come from a frame of Colab's outputs. Stop it: colabGuardPage.stop()

/**
 * @typedef {{nonce: string, page: string, frames: string, touch: boolean, check_ms?: number, touch_ms?: number,
 *   fresh_ms?: number, first_ms?: number}} Settings
 * @param {Settings} settings
 * @param {any} page the window of the page itself
 */
export function watch(settings, page = window) {
  const CHECK_MS = settings.check_ms ?? 30_000;
  const TOUCH_MS = settings.touch_ms ?? 60_000;
  const FRESH_MS = settings.fresh_ms ?? 15 * 60_000;
  const FIRST_MS = settings.first_ms ?? 2 * 3_600_000;
  const PRESSES = 5;
  const DIALOGS = "dialog[open], md-dialog[open], mwc-dialog[open], paper-dialog, [role=dialog], [role=alertdialog], [aria-modal=true]";
  const CAPTCHA_PX = 70; // reCAPTCHA's and hCaptcha's checkboxes are 78 high, the badge of one that asks nothing 60
  const CAPTCHAS = 'iframe[src*="captcha" i], iframe[title*="captcha" i]';
  const frames = new RegExp(settings.frames);
  const began = Date.now();
  let heard = 0; // when a frame last said "working"; 0 for not yet
  let working = false;
  let presses = 0;
  let foreign = "";

  const say = (/** @type {string} */ words) => page.console.info(`colab_guard: ${words}`);
  if (page.location.origin !== settings.page) return say(`this is for ${settings.page} and does nothing on ${page.location.origin}`);
  page.colabGuardPage?.stop();

  const listen = (/** @type {MessageEvent} */ event) => {
    const told = event.data?.colab_guard;
    if (typeof told !== "object" || told === null || told.nonce !== settings.nonce) return;
    if (!frames.test(event.origin)) {
      if (foreign !== event.origin) say(`passed over what ${event.origin} says: it is no frame of Colab's outputs`);
      foreign = event.origin;
      return;
    }
    if (!(Math.abs(Date.now() - told.at) < FRESH_MS)) return; // it was under way for too long
    working = told.state === "working";
    if (working) heard = Date.now();
  };

  /** Whether something on the page waits for a person. */
  const asked = () => {
    for (const root of roots(page.document)) {
      for (const found of root.querySelectorAll(DIALOGS)) if (shown(found, 1)) return true;
      for (const found of root.querySelectorAll(CAPTCHAS)) if (shown(found, CAPTCHA_PX)) return true;
    }
    return false;
  };
  const shown = (/** @type {Element} */ element, /** @type {number} */ high) =>
    page.getComputedStyle(element).visibility !== "hidden" &&
    [element, ...element.children].some((part) => part.getBoundingClientRect().height >= high);

  /** Connect, or Reconnect, where it can be pressed; null while the runtime is connected, or about to be. */
  const connect = () => {
    const found = page.document.querySelector("colab-connect-button")?.shadowRoot?.querySelector("#connect");
    const words = `${found?.textContent ?? ""} ${found?.getAttribute("aria-label") ?? ""}`;
    return found && !found.disabled && /\b(re)?connect\b/i.test(words) ? found : null;
  };

  const check = () => {
    const now = Date.now();
    if (heard ? now - heard > FRESH_MS : now - began > FIRST_MS) return stop("guarded work has not been heard of for long");
    if (!working) return;
    const button = connect();
    if (!button) return;
    if (asked()) return say("the runtime is disconnected and a prompt is open: that is for a person to answer");
    presses += 1;
    say(`the runtime is disconnected and guarded work runs: pressing Connect (${presses} of ${PRESSES})`);
    button.click();
    if (presses >= PRESSES) stop("it has pressed Connect five times");
  };
  const touch = () => {
    if (!working || Date.now() - heard > FRESH_MS || connect() || asked()) return;
    page.document.body.dispatchEvent(new page.MouseEvent("mousemove", { bubbles: true, clientX: 1, clientY: 1 }));
  };

  const stop = (/** @type {string} */ why = "stopped by hand") => {
    timers.forEach((timer) => page.clearInterval(timer));
    page.removeEventListener("message", listen);
    delete page.colabGuardPage;
    say(`the page script has ended: ${why}`);
  };
  const timers = [page.setInterval(check, CHECK_MS)];
  if (settings.touch) timers.push(page.setInterval(touch, TOUCH_MS));
  page.addEventListener("message", listen);
  page.colabGuardPage = { stop: () => stop(), state: () => ({ working, heard, presses }) };
  say(`the page script runs${settings.touch ? ", and touches the page" : ""}. Stop it: colabGuardPage.stop()`);
}

/**
 * The document and all open shadow roots below it.
 * @param {Document | ShadowRoot} root
 * @returns {Generator<Document | ShadowRoot>}
 */
function* roots(root) {
  yield root;
  for (const element of root.querySelectorAll("*")) if (element.shadowRoot) yield* roots(element.shadowRoot);
}
