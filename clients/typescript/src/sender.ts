/** Sends what the jobs of a client report: one request at a time, in order, not too often, again after failures. */

import { applyAnswer } from "./answers.js";
import { callLater, monotonic } from "./clock.js";
import { BoardRefused, BoardUnreachable, type CallboardError, Unauthorized } from "./errors.js";
import { Health } from "./health.js";
import { type Entry, type LogLine, Outbox, type TrackedJob } from "./outbox.js";
import type { JobRecord, WireReport } from "./record.js";
import { type Answer, sendEntries } from "./requests.js";
import type { Transport } from "./transport.js";

/** Seconds that a job waits for the board at its start and at its end, unless the board is away. */
const SUBMIT_TIMEOUT = 5;
/** After so many internal errors in a row it is the report that the board cannot digest, and it is left out. */
const MAX_INTERNAL_ERRORS = 5;

/** The one sender of a client, with its outbox and its heartbeats. */
export class Sender {
  readonly #outbox = new Outbox();
  readonly #health = new Health();
  readonly #heartbeats = new Map<TrackedJob, { interval: number; dueAt: number }>();
  readonly #waiters = new Set<() => void>();
  #flushes = 0;
  #cancelTimer: () => void = () => undefined;

  /** `interval` is in seconds, between two requests unless one of them starts or ends a job. */
  constructor(
    readonly transport: Transport,
    readonly interval: number,
    readonly warn: (message: string) => void,
  ) {}

  /** Add an entry and wait for its answer. Returns null if the board is away; then the entry is sent later. */
  async submit(entry: Entry): Promise<JobRecord | CallboardError | null> {
    const { job } = entry;
    if (job.dropped) return null;
    if (entry.isFirst && !this.#outbox.hasRoom) {
      job.dropped = true;
      this.warn("A job is not reported to the board: too much waits.");
      return null;
    }
    this.#outbox.add(entry);
    this.#schedule();
    await this.#waitUntil(() => entry.settled === true || this.#health.away, SUBMIT_TIMEOUT);
    return entry.outcome ?? null;
  }

  /** Add a report, into which the next one of the same job may be merged. Returns at once. */
  report(job: TrackedJob, fields: WireReport): void {
    if (job.dropped || job.stopReason) return;
    if (this.#outbox.addReport(job, fields)) this.#schedule();
  }

  /** Add lines to a job's log. Returns at once. */
  log(job: TrackedJob, lines: readonly LogLine[]): void {
    if (job.dropped) return;
    if (this.#outbox.addLines(job, lines)) this.#schedule();
  }

  /** Give a sign of life of a job every `interval` seconds, unless something else is reported of it. */
  startHeartbeat(job: TrackedJob, interval: number): void {
    this.#heartbeats.set(job, { interval, dueAt: monotonic() + interval });
    this.#schedule();
  }

  /** Give no more signs of life of a job. */
  stopHeartbeat(job: TrackedJob): void {
    this.#heartbeats.delete(job);
  }

  /** Wait until everything is sent, so many seconds at most, also while the board is away. Returns whether it is. */
  async flush(seconds: number): Promise<boolean> {
    this.#flushes += 1;
    this.#health.hurry();
    this.#schedule();
    await this.#waitUntil(() => this.#outbox.length === 0, seconds);
    this.#flushes -= 1;
    return this.#outbox.length === 0;
  }

  /** Wait for a condition that requests bring about, for so many seconds at most. This alone keeps a process alive. */
  async #waitUntil(condition: () => boolean, seconds: number): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve();
      };
      const check = () => condition() && end();
      const timer = setTimeout(end, seconds * 1000);
      this.#waiters.add(check);
    });
  }

  // --- one request after the other ---------------------------------------------------------------------------------

  #schedule(): void {
    this.#cancelTimer();
    const wait = this.#health.busy ? null : this.#secondsToWait();
    if (wait !== null) this.#cancelTimer = callLater(wait, () => void this.#sendNext());
  }

  /** Return the seconds until there is something to send; null if nothing waits. */
  #secondsToWait(): number | null {
    if (this.#outbox.length > 0) {
      const interval = this.#outbox.urgent || this.#flushes > 0 ? 0 : this.interval;
      return this.#health.nextRequestAt(interval) - monotonic();
    }
    const moments = [...this.#heartbeats.values()].map((heartbeat) => heartbeat.dueAt);
    return moments.length > 0 ? Math.min(...moments) - monotonic() : null;
  }

  async #sendNext(): Promise<void> {
    this.#addHeartbeats();
    // Because a timer may fire a little too soon.
    if (!this.#health.busy && this.#outbox.length > 0 && (this.#secondsToWait() ?? 1) <= 0.001) {
      await this.#send(this.#outbox.take());
      for (const check of [...this.#waiters]) check();
    }
    this.#schedule();
  }

  /** Add the signs of life that are due, but for jobs of which something else waits that says as much. */
  #addHeartbeats(): void {
    const now = monotonic();
    for (const [job, heartbeat] of this.#heartbeats) {
      if (now < heartbeat.dueAt - 0.001) continue;
      heartbeat.dueAt = now + heartbeat.interval;
      if (!job.stopReason && !job.dropped && !this.#outbox.has(job)) this.#outbox.addReport(job, {});
    }
  }

  async #send(entries: readonly Entry[]): Promise<void> {
    let answers: Answer[];
    this.#health.recordStart();
    try {
      answers = await sendEntries(this.transport, entries);
    } catch (error) {
      if (error instanceof BoardUnreachable || error instanceof Unauthorized)
        return this.#recordFailure(entries, error);
      if (!(error instanceof BoardRefused)) this.warn(`A report failed in this client: ${String(error)}`);
      answers = [error instanceof BoardRefused ? error : null];
    }
    this.#health.recordSuccess();
    if (answers.length < entries.length) {
      // The batch was refused as a whole, so each of its entries is sent alone.
      for (const entry of entries) entry.failures = 1;
      return;
    }
    this.#outbox.remove(entries);
    for (const [index, entry] of entries.entries()) {
      applyAnswer(entry, answers[index] ?? null, this.#outbox, this.warn);
    }
  }

  /** Keep entries for the next try; the first is left out if the board had too many internal errors because of it. */
  #recordFailure(entries: readonly Entry[], error: BoardUnreachable | Unauthorized): void {
    if (this.#health.recordFailure(error, this.#flushes > 0)) {
      this.warn(`Reports cannot be sent and wait, while jobs go on: ${error.message}`);
    }
    for (const entry of entries) {
      // What was sent of a log stays as it is, because its key names these lines.
      entry.inFlight = entry.kind === "log";
      if (error instanceof BoardUnreachable && error.status === 500) entry.failures = (entry.failures ?? 0) + 1;
    }
    const [first] = entries;
    if (!first || (first.failures ?? 0) < MAX_INTERNAL_ERRORS) return;
    this.warn(`A report is left out: the board had an internal error ${MAX_INTERNAL_ERRORS} times.`);
    this.#outbox.remove([first]);
    first.settled = true;
  }
}
