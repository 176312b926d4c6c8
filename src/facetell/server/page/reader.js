// The worker as two functions that give promises.

export function makeReader() {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new Error(event.message || "the worker could not be started");
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const ask = (message, transfer = []) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, ...message }, transfer);
    });
  return {
    // Loads the networks, so that the first picture does not wait for them.
    open: (detector, model) => ask({ task: "open", detector, model }),
    // Reads a bitmap, which comes back in the result.
    read: (bitmap, options) => ask({ task: "read", bitmap, ...options }, [bitmap]),
  };
}
