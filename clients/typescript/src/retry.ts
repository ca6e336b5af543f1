/** The same request again, until it succeeds, is refused, or it is enough. */

import { jittered, sleep } from "./clock.js";
import { BoardUnreachable } from "./errors.js";

/** Seconds before a verb is tried again. */
const WAITS = [0.25, 0.5, 1, 2];
/** Seconds that a verb waits at most because the board asks for it; if it asks for more, the verb gives up. */
const LONGEST = 10;

/**
 * The outcome of `ask`, tried up to five times while the board is unreachable, and never sooner than it asks for.
 * Throws the last `BoardUnreachable`, or at once whatever else `ask` throws.
 */
export async function retried<T>(ask: () => Promise<T>): Promise<T> {
  for (const wait of WAITS) {
    try {
      return await ask();
    } catch (error) {
      const asked = error instanceof BoardUnreachable ? (error.retryAfter ?? 0) : Infinity;
      if (asked > LONGEST) throw error;
      await sleep(Math.max(jittered(wait), asked));
    }
  }
  return ask();
}
