/** Whether the board can be reached, and when the next request may be made. Moments and waits are in seconds. */

import { jitter, monotonic } from "./clock.js";
import { type BoardUnreachable, Unauthorized } from "./errors.js";

/** Seconds of failures after which the board counts as away, and nobody waits for it any more. */
const AWAY_AFTER = 1.5;
/** Seconds without an answer after which nobody waits for it any more, though it may come. */
const HANGS_AFTER = 4;
/** Seconds from each failure in a row to the next try. */
const BACKOFF = [0.2, 0.5, 1, 2, 5, 10, 30];
/** Seconds to the next try at most, while somebody waits for a flush. */
const MAX_FLUSH_BACKOFF = 1;
/** Seconds to the next try after the token was refused. */
const UNAUTHORIZED_BACKOFF = 60;
/** Seconds that the client waits at most because the board asks for it. */
const MAX_RETRY_AFTER = 300;

/** What the last requests say of the board. */
export class Health {
  #failures = 0;
  #failingSince: number | null = null;
  #unauthorized = false;
  /** When the request under way began; null if there is none. */
  #startedAt: number | null = null;
  #endedAt = -Infinity;
  /** When the next try may be made after a failure. */
  #retryAt = -Infinity;
  /** The moment before which the board does not want another request. */
  #retryNotBefore = -Infinity;

  /** Whether the board has been away for so long that nobody waits for it. */
  get away(): boolean {
    const now = monotonic();
    const hangs = this.#startedAt !== null && now - this.#startedAt >= HANGS_AFTER;
    return this.#unauthorized || hangs || (this.#failingSince !== null && now - this.#failingSince >= AWAY_AFTER);
  }

  /** Whether a request is under way. */
  get busy(): boolean {
    return this.#startedAt !== null;
  }

  /** Return the moment of the next request, which is `interval` seconds after the last one or later. */
  nextRequestAt(interval: number): number {
    return Math.max(this.#endedAt + interval, this.#retryAt);
  }

  /** Note that a request begins. */
  recordStart(): void {
    this.#startedAt = monotonic();
  }

  /** Note that the board answered. */
  recordSuccess(): void {
    this.#failures = 0;
    this.#failingSince = null;
    this.#unauthorized = false;
    this.#recordEnd();
  }

  /** Note that the request failed; `hurried` says that a flush waits. Returns whether it is the first in a row. */
  recordFailure(error: BoardUnreachable | Unauthorized, hurried: boolean): boolean {
    const isFirst = this.#failingSince === null;
    this.#failingSince ??= this.#startedAt ?? monotonic();
    this.#unauthorized = error instanceof Unauthorized;
    this.#recordEnd();
    this.#retryAt = this.#endedAt + this.#chooseBackoff(error, hurried);
    this.#failures += 1;
    return isFirst;
  }

  /** Allow the next try now, but not sooner than the board asked for. */
  hurry(): void {
    if (this.#failures > 0) this.#retryAt = Math.min(this.#retryAt, Math.max(this.#retryNotBefore, monotonic()));
  }

  #recordEnd(): void {
    this.#startedAt = null;
    this.#endedAt = monotonic();
  }

  #chooseBackoff(error: BoardUnreachable | Unauthorized, hurried: boolean): number {
    if (error instanceof Unauthorized) return UNAUTHORIZED_BACKOFF;
    const backoff = jitter(BACKOFF[Math.min(this.#failures, BACKOFF.length - 1)] ?? 0);
    const retryAfter = Math.min(error.retryAfter ?? 0, MAX_RETRY_AFTER);
    this.#retryNotBefore = this.#endedAt + retryAfter;
    return Math.max(hurried ? Math.min(backoff, MAX_FLUSH_BACKOFF) : backoff, retryAfter);
  }
}
