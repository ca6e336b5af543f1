/** What speaks to the board for all jobs of a client: in order, not too often, again and again. */

import { note } from "./answers.js";
import { callLater, monotonic } from "./clock.js";
import { BoardRefused, BoardUnreachable, type CallboardError, Unauthorized } from "./errors.js";
import { Health } from "./health.js";
import { type Entry, type LogLine, Outbox, type Subject } from "./outbox.js";
import type { JobRecord, WireReport } from "./record.js";
import { type Answer, told } from "./requests.js";
import type { Transport } from "./transport.js";

/** Seconds that a job waits at its start and at its end for the board, as long as the board was there before. */
const PATIENCE = 5;
/** With so many internal errors in a row it is the report that the board cannot digest. */
const TRIES = 5;

/** Keeps what is to be told, and tells it. */
export class Sender {
  readonly #outbox = new Outbox();
  readonly #health = new Health();
  readonly #beating = new Map<Subject, { every: number; due: number }>();
  readonly #waiting = new Set<() => void>();
  #flushing = 0;
  #endTimer: () => void = () => undefined;

  /** `interval` is in seconds, between two requests unless one of them starts or ends a job. */
  constructor(
    readonly transport: Transport,
    readonly interval: number,
    readonly warn: (message: string) => void,
  ) {}

  /** Put an entry in line and wait for its answer; null when the board is away, for then it is told later. */
  async tell(entry: Entry): Promise<JobRecord | CallboardError | null> {
    const { subject } = entry;
    if (subject.untold) return null;
    if (entry.begins && !this.#outbox.hasRoom) {
      subject.untold = true;
      this.warn("A job is not told to the board: too much waits.");
      return null;
    }
    this.#outbox.put(entry);
    this.#schedule();
    await this.#until(() => entry.answered === true || this.#health.away, PATIENCE);
    return entry.outcome ?? null;
  }

  /** Say something that the next report of the same job may overtake. Returns at once. */
  report(subject: Subject, fields: WireReport): void {
    if (subject.untold || subject.stop) return;
    if (this.#outbox.report(subject, fields)) this.#schedule();
  }

  /** Add lines to a job's log. Returns at once. */
  log(subject: Subject, lines: readonly LogLine[]): void {
    if (subject.untold) return;
    if (this.#outbox.log(subject, lines)) this.#schedule();
  }

  /** Let the board hear of a job at least so often, in seconds. */
  beat(subject: Subject, every: number): void {
    this.#beating.set(subject, { every, due: monotonic() + every });
    this.#schedule();
  }

  /** No longer. */
  rest(subject: Subject): void {
    this.#beating.delete(subject);
  }

  /** Wait until everything is told, for so many seconds at most, also while the board is away; whether it is. */
  async flush(seconds: number): Promise<boolean> {
    this.#flushing += 1;
    this.#health.hurry();
    this.#schedule();
    await this.#until(() => this.#outbox.length === 0, seconds);
    this.#flushing -= 1;
    return this.#outbox.length === 0;
  }

  /** Wait for something that a request brings about. This wait alone keeps a process alive. */
  async #until(happened: () => boolean, seconds: number): Promise<void> {
    if (happened()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => happened() && end();
      const timer = setTimeout(end, seconds * 1000);
      this.#waiting.add(look);
    });
  }

  // --- one request after the other ---------------------------------------------------------------------------------

  #schedule(): void {
    this.#endTimer();
    const wait = this.#health.busy ? null : this.#secondsToWait();
    if (wait !== null) this.#endTimer = callLater(wait, () => void this.#turn());
  }

  #secondsToWait(): number | null {
    if (this.#outbox.length > 0) {
      return this.#health.nextRequestAt(this.#outbox.urgent || this.#flushing > 0 ? 0 : this.interval) - monotonic();
    }
    const due = [...this.#beating.values()].map((beat) => beat.due);
    return due.length > 0 ? Math.min(...due) - monotonic() : null;
  }

  async #turn(): Promise<void> {
    this.#putHeartbeats();
    // A timer may fire a little too soon.
    if (!this.#health.busy && this.#outbox.length > 0 && (this.#secondsToWait() ?? 1) <= 0.001) {
      await this.#send(this.#outbox.take());
      for (const look of [...this.#waiting]) look();
    }
    this.#schedule();
  }

  #putHeartbeats(): void {
    const moment = monotonic();
    for (const [subject, beat] of this.#beating) {
      if (moment < beat.due - 0.001) continue;
      beat.due = moment + beat.every;
      // What waits of it says as much.
      if (!subject.stop && !subject.untold && !this.#outbox.has(subject)) this.#outbox.report(subject, {});
    }
  }

  async #send(entries: readonly Entry[]): Promise<void> {
    let answers: Answer[];
    this.#health.recordStart();
    try {
      answers = await told(this.transport, entries);
    } catch (error) {
      if (error instanceof BoardUnreachable || error instanceof Unauthorized) return this.#failed(entries, error);
      if (!(error instanceof BoardRefused)) this.warn(`A report failed in this client: ${String(error)}`);
      answers = [error instanceof BoardRefused ? error : null];
    }
    this.#health.recordSuccess();
    if (answers.length < entries.length) {
      // Of a batch that was refused as a whole, each is told alone.
      for (const entry of entries) entry.tries = 1;
      return;
    }
    this.#outbox.done(entries);
    for (const [number, entry] of entries.entries()) note(entry, answers[number] ?? null, this.#outbox, this.warn);
  }

  #failed(entries: readonly Entry[], error: BoardUnreachable | Unauthorized): void {
    if (this.#health.recordFailure(error, this.#flushing > 0)) {
      this.warn(`The board cannot be told, jobs go on and reports wait: ${error.message}`);
    }
    for (const entry of entries) {
      entry.taken = entry.kind === "log";
      if (error instanceof BoardUnreachable && error.status === 500) entry.tries = (entry.tries ?? 0) + 1;
    }
    const [first] = entries;
    if (!first || (first.tries ?? 0) < TRIES) return;
    this.warn(`A report is left out: the board had an internal error ${TRIES} times.`);
    this.#outbox.done([first]);
    first.answered = true;
  }
}
