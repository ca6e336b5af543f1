/** What the board has not been told yet: in order, without what is outdated, within bounds. */

import type { CallboardError, JobStopped } from "./errors.js";
import type { JobRecord, LogLevel, WireNewJob, WireReport } from "./record.js";
import { text } from "./serialize.js";

/** Entries that wait. When so many do, new jobs and log lines are left out; what was begun is told to its end. */
export const LIMIT = 10_000;
/** Lines of one job's log that wait, which is what the board takes at once; of more than that the last. */
const LINES = 500;
/** Characters of one line. */
const LINE_LIMIT = 4_000;
/** Reports in one request. */
const AT_ONCE = 100;
/** Characters of results and errors, or of lines, in one request; the board takes a MiB. */
const SIZE_AT_ONCE = 200_000;

/** A job as the outbox knows it: what the board said of it. */
export interface Subject {
  /** Null until the board has made it. */
  id: string | null;
  /** Whether nothing more is said of it: the board does not know it, or there was no room. */
  untold: boolean;
  /** What the board said when it was to stop. */
  stop: JobStopped | null;
  /** Called once, when it is to stop. */
  onStop: (stop: JobStopped) => void;
}

export interface LogLine {
  text: string;
  level: LogLevel;
  at: string;
}

type What =
  | { kind: "create"; body: WireNewJob }
  | { kind: "report"; body: WireReport }
  | { kind: "log"; body: { lines: LogLine[] } };

/** One thing that the board is to be told of a job, and its answer once there is one. */
export type Entry = What & {
  readonly subject: Subject;
  /** When it happened, on the clock on the wall, in milliseconds. */
  readonly at: number;
  readonly key?: string;
  /** Whether it does not wait for others. */
  readonly urgent?: boolean;
  /** Whether it is the first that is said of its job here, so that it may be left out. */
  readonly begins?: boolean;
  tries?: number;
  taken?: boolean;
  answered?: boolean;
  outcome?: JobRecord | CallboardError | null;
  leftOut?: number;
  /** Characters of the lines. */
  size?: number;
};

/** Entries in the order in which they came. */
export class Outbox {
  #entries: Entry[] = [];
  // By job, what waits and may still grow: as long as nothing else was said of it, and it is not under way.
  readonly #reports = new Map<Subject, Entry & { kind: "report" }>();
  readonly #logs = new Map<Subject, Entry & { kind: "log" }>();

  get length(): number {
    return this.#entries.length;
  }

  /** Whether one of them is not to wait for others. */
  get urgent(): boolean {
    return this.#entries.some((entry) => entry.urgent);
  }

  /** Whether a new job may be begun, or another line be written. */
  get hasRoom(): boolean {
    return this.#entries.length < LIMIT;
  }

  /** Whether anything waits of a job, but for its log. */
  has(subject: Subject): boolean {
    return (
      this.#reports.has(subject) || this.#entries.some((entry) => entry.subject === subject && entry.kind !== "log")
    );
  }

  /** Add an entry. What comes later of the same job is not mixed with what came before it. */
  put(entry: Entry): void {
    this.#reports.delete(entry.subject);
    this.#entries.push(entry);
  }

  /** Say something of a job that the next such report may overtake; whether that is an entry more. */
  report(subject: Subject, fields: WireReport): boolean {
    const waiting = this.#reports.get(subject);
    if (waiting && !waiting.taken) {
      Object.assign(waiting.body, fields);
      return false;
    }
    const entry = { kind: "report" as const, subject, body: { ...fields }, at: Date.now() };
    this.put(entry);
    this.#reports.set(subject, entry);
    return true;
  }

  /** Add lines to a job's log; whether that is an entry more. */
  log(subject: Subject, lines: readonly LogLine[]): boolean {
    let waiting = this.#logs.get(subject);
    const isNew = !waiting || waiting.taken === true;
    if (!waiting || waiting.taken) {
      if (!this.hasRoom) return false;
      waiting = { kind: "log", subject, body: { lines: [] }, at: Date.now(), key: crypto.randomUUID() };
      this.#logs.set(subject, waiting);
      this.#entries.push(waiting);
    }
    const kept = waiting.body.lines;
    let size = waiting.size ?? 0;
    for (const line of lines) {
      const cut = text(line.text.slice(0, LINE_LIMIT));
      kept.push({ ...line, text: cut });
      size += 100 + cut.length;
    }
    let gone = 0;
    for (; kept.length - gone > LINES || size > SIZE_AT_ONCE; gone += 1) size -= 100 + (kept[gone]?.text.length ?? 0);
    kept.splice(0, gone);
    waiting.leftOut = (waiting.leftOut ?? 0) + gone;
    waiting.size = size;
    return isNew;
  }

  /** The next entries that make one request; they stay here until they are `done`. */
  take(): Entry[] {
    const taken: Entry[] = [];
    let size = 0;
    for (const entry of this.#entries) {
      const alone = entry.kind !== "report" || entry.subject.id === null || (entry.tries ?? 0) > 0;
      const own = entry.kind === "report" ? sizeOf(entry.body) : 0;
      if (taken.length > 0 && (alone || taken.length === AT_ONCE || size + own > SIZE_AT_ONCE)) break;
      entry.taken = true;
      taken.push(entry);
      size += own;
      if (alone) break;
    }
    return taken;
  }

  /** Forget entries that were answered: the first ones, as they were taken. */
  done(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (this.#entries[0] !== entry) continue;
      this.#entries.shift();
      if (this.#reports.get(entry.subject) === entry) this.#reports.delete(entry.subject);
      if (this.#logs.get(entry.subject) === entry) this.#logs.delete(entry.subject);
    }
  }

  /** Put an entry back before all others. */
  again(entry: Entry): void {
    this.#entries.unshift(entry);
  }

  /** Forget whatever waits of a job, and answer that with nothing. */
  drop(subject: Subject): void {
    for (const entry of this.#entries) if (entry.subject === subject) entry.answered = true;
    this.#entries = this.#entries.filter((entry) => entry.subject !== subject);
    this.#reports.delete(subject);
    this.#logs.delete(subject);
  }
}

/** Characters of a report, roughly. */
function sizeOf(body: WireReport): number {
  return 200 + (body.error?.length ?? 0) + (body.result ? JSON.stringify(body.result).length : 0);
}
