/** Moments and waits, in every runtime that has `setTimeout`. All are in seconds. */

/** Seconds since some moment, unmoved by whoever sets the clock, where the runtime can tell. */
export function monotonic(): number {
  return (globalThis.performance?.now() ?? Date.now()) / 1000;
}

/** Wait so many seconds. */
export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** A number near this one, so that not all ask again at once. */
export function jittered(seconds: number): number {
  return seconds * (0.8 + Math.random() * 0.4);
}

/** Call this after so many seconds, without keeping a process alive for it; the answer ends the wait. */
export function later(seconds: number, call: () => void): () => void {
  // Longer ones than a timer can hold would be over at once.
  const timer: unknown = setTimeout(call, Math.min(Math.max(seconds, 0) * 1000, 2 ** 31 - 1));
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
    timer.unref();
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
}
