/** Whether the board is there, and when it is to be asked again. Moments and waits are in seconds. */

import { jittered, monotonic } from "./clock.js";
import { type BoardUnreachable, Unauthorized } from "./errors.js";

/** Seconds of failures after which the board counts as away, and nobody waits for it any more. */
const AWAY_AFTER = 1.5;
/** Seconds without an answer after which nobody waits for it any more, though it may come. */
const HANGS_AFTER = 4;
/** Seconds from one failure to the next try. */
const BACKOFF = [0.2, 0.5, 1, 2, 5, 10, 30];
/** The longest of these while somebody waits until everything is told. */
const BACKOFF_HURRIED = 1;
/** Seconds to the next try after the token was refused. */
const REFUSED_AGAIN = 60;
/** Seconds that the board may ask for before it is asked again. */
const LONGEST_ASKED = 300;

export class Health {
  #failures = 0;
  #failingSince: number | null = null;
  #refused = false;
  #askedAt: number | null = null;
  #answeredAt = -Infinity;
  #nextTry = -Infinity;
  /** What the board asked for. */
  #notBefore = -Infinity;

  /** Whether the board has been away for so long that nobody waits for it. */
  get away(): boolean {
    const moment = monotonic();
    const hangs = this.#askedAt !== null && moment - this.#askedAt >= HANGS_AFTER;
    return this.#refused || hangs || (this.#failingSince !== null && moment - this.#failingSince >= AWAY_AFTER);
  }

  /** Whether a request is under way. */
  get busy(): boolean {
    return this.#askedAt !== null;
  }

  /** When the next request may be made, if it is to be so many seconds after the last. */
  next(interval: number): number {
    return Math.max(this.#answeredAt + interval, this.#nextTry);
  }

  asked(): void {
    this.#askedAt = monotonic();
  }

  answered(): void {
    this.#failures = 0;
    this.#failingSince = null;
    this.#refused = false;
    this.#end();
  }

  /** Note a failure; whether it is the first after the board was there. `hurried` says that somebody waits. */
  failed(error: BoardUnreachable | Unauthorized, hurried: boolean): boolean {
    const first = this.#failingSince === null;
    this.#failingSince ??= this.#askedAt ?? monotonic();
    this.#refused = error instanceof Unauthorized;
    this.#end();
    this.#nextTry = this.#answeredAt + this.#pause(error, hurried);
    this.#failures += 1;
    return first;
  }

  /** Ask again now, for somebody waits; but not sooner than the board asked for. */
  hurry(): void {
    if (this.#failures > 0) this.#nextTry = Math.min(this.#nextTry, Math.max(this.#notBefore, monotonic()));
  }

  #end(): void {
    this.#askedAt = null;
    this.#answeredAt = monotonic();
  }

  #pause(error: BoardUnreachable | Unauthorized, hurried: boolean): number {
    if (error instanceof Unauthorized) return REFUSED_AGAIN;
    const usual = jittered(BACKOFF[Math.min(this.#failures, BACKOFF.length - 1)] ?? 0);
    const asked = Math.min(error.retryAfter ?? 0, LONGEST_ASKED);
    this.#notBefore = this.#answeredAt + asked;
    return Math.max(hurried ? Math.min(usual, BACKOFF_HURRIED) : usual, asked);
  }
}
