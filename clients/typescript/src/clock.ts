/** Moments and waits, in every runtime that has `setTimeout`. All are in seconds. */

/** Return the seconds since some fixed moment; where the runtime can tell, setting the clock does not move them. */
export function monotonic(): number {
  return (globalThis.performance?.now() ?? Date.now()) / 1000;
}

/** Wait so many seconds. */
export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Vary a wait by up to a fifth, so that not all clients ask again at once. */
export function jitter(seconds: number): number {
  return seconds * (0.8 + Math.random() * 0.4);
}

/** Call a function after so many seconds, without keeping a process alive for it. Returns what cancels the call. */
export function callLater(seconds: number, call: () => void): () => void {
  // Because a timer cannot hold more, and would fire at once.
  const timer: unknown = setTimeout(call, Math.min(Math.max(seconds, 0) * 1000, 2 ** 31 - 1));
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
    timer.unref();
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
}
