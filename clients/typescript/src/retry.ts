/** The same request again, until it succeeds, is refused, or has been tried often enough. */

import { jitter, sleep } from "./clock.js";
import { BoardUnreachable } from "./errors.js";

/** Seconds before each further try of a verb. */
const RETRY_DELAYS = [0.25, 0.5, 1, 2];
/** Seconds that a verb waits at most because the board asks for it; if the board asks for more, the verb gives up. */
const MAX_RETRY_AFTER = 10;

/**
 * Send a request up to five times while the board is unreachable, never sooner than the board asks for, and return its
 * answer. Throws the last `BoardUnreachable`, or at once whatever else `send` throws.
 */
export async function retry<T>(send: () => Promise<T>): Promise<T> {
  for (const delay of RETRY_DELAYS) {
    try {
      return await send();
    } catch (error) {
      const retryAfter = error instanceof BoardUnreachable ? (error.retryAfter ?? 0) : Infinity;
      if (retryAfter > MAX_RETRY_AFTER) throw error;
      await sleep(Math.max(jitter(delay), retryAfter));
    }
  }
  return send();
}
