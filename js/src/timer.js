// A timer that is exact in hidden tabs: pages there may call only once a minute, a worker may still call on time.

const CODE = "let t;onmessage=e=>{clearInterval(t);t=setInterval(()=>postMessage(0),e.data)}";

/**
 * Call `action` every `ms` milliseconds, timed by a Blob Worker; by the page's timer where a policy forbids that.
 * @param {number} ms
 * @param {() => void} action
 * @returns {() => void} stops it
 */
export function every(ms, action) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let fallback;
  let stopped = false;
  const byPage = () => {
    if (!stopped && fallback === undefined) fallback = setInterval(action, ms);
  };
  /** @type {Worker | undefined} */
  let worker;
  try {
    const address = URL.createObjectURL(new Blob([CODE], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
    worker.onmessage = action;
    worker.onerror = byPage; // a content security policy may refuse the worker only after it was made
    worker.postMessage(ms);
  } catch {
    byPage();
  }
  return () => {
    stopped = true;
    worker?.terminate();
    clearInterval(fallback);
  };
}
