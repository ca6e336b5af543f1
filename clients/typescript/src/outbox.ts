/** What the board has not been sent yet: in order, without what is outdated, within bounds. */

import type { CallboardError, JobStopped } from "./errors.js";
import type { JobRecord, LogLevel, WireNewJob, WireReport } from "./record.js";
import { cleanText } from "./serialize.js";

/** Entries after which new jobs and log lines are left out; jobs that have begun are still reported to their end. */
const MAX_ENTRIES = 10_000;
/** Lines of one job's log that wait at most, as many as the board takes in one request; the oldest are left out. */
const MAX_LINES = 500;
/** Characters of one line. */
const MAX_LINE_LENGTH = 4_000;
/** Reports in one request. */
const MAX_BATCH = 100;
/** Characters of results and errors, or of lines, in one request; the board takes a MiB. */
const MAX_REQUEST_SIZE = 200_000;

/** A job as the client keeps track of it. */
export interface TrackedJob {
  /** Null until the board has created the job. */
  id: string | null;
  /** Whether nothing more is reported of it: the board does not know it, or there was no room. */
  dropped: boolean;
  /** Why it is to stop; null as long as it is not. */
  stopReason: JobStopped | null;
  /** Called once, when it is to stop. */
  onStop: (reason: JobStopped) => void;
}

/** A line of a job's log, in the board's words. */
export interface LogLine {
  text: string;
  level: LogLevel;
  at: string;
}

type Content =
  | { kind: "create"; body: WireNewJob }
  | { kind: "report"; body: WireReport }
  | { kind: "log"; body: { lines: LogLine[] } };

/** Something to send to the board about one job, and its outcome once there is one. */
export type Entry = Content & {
  readonly job: TrackedJob;
  /** When it happened, in milliseconds since 1970. */
  readonly at: number;
  /** The `Idempotency-Key` of its request. */
  readonly key?: string;
  /** Whether it is sent without waiting for others. */
  readonly urgent?: boolean;
  /** Whether it is the first entry of its job in this process, so that the whole job may be left out. */
  readonly isFirst?: boolean;
  /** How often it failed; from the first time on it is sent alone. */
  failures?: number;
  /** Whether a request with it is under way. */
  inFlight?: boolean;
  /** Whether nothing is expected of it any more. */
  settled?: boolean;
  /** What the board answered; null if that says nothing of the job. */
  outcome?: JobRecord | CallboardError | null;
  /** How many lines were left out before those of the body. */
  omittedLines?: number;
  /** Characters of the lines. */
  size?: number;
};

/** Entries in the order in which they were added. */
export class Outbox {
  #entries: Entry[] = [];
  // By job, the entry that may still grow: nothing else was added of the job since, and it is not in flight.
  readonly #reports = new Map<TrackedJob, Entry & { kind: "report" }>();
  readonly #logs = new Map<TrackedJob, Entry & { kind: "log" }>();

  get length(): number {
    return this.#entries.length;
  }

  /** Whether an entry is not to wait for others. */
  get urgent(): boolean {
    return this.#entries.some((entry) => entry.urgent);
  }

  /** Whether a new job or more log lines may be added. */
  get hasRoom(): boolean {
    return this.#entries.length < MAX_ENTRIES;
  }

  /** Return whether anything but log lines waits of a job. */
  has(job: TrackedJob): boolean {
    return this.#reports.has(job) || this.#entries.some((entry) => entry.job === job && entry.kind !== "log");
  }

  /** Add an entry. Later reports of the same job are not merged into earlier ones. */
  add(entry: Entry): void {
    this.#reports.delete(entry.job);
    this.#entries.push(entry);
  }

  /** Add a report, or merge it into the one that waits. Returns whether that is one more entry. */
  addReport(job: TrackedJob, fields: WireReport): boolean {
    const waiting = this.#reports.get(job);
    if (waiting && !waiting.inFlight) {
      Object.assign(waiting.body, fields);
      return false;
    }
    const entry = { kind: "report" as const, job, body: { ...fields }, at: Date.now() };
    this.add(entry);
    this.#reports.set(job, entry);
    return true;
  }

  /** Add lines to a job's log. Returns whether that is one more entry. */
  addLines(job: TrackedJob, lines: readonly LogLine[]): boolean {
    let waiting = this.#logs.get(job);
    const isNew = !waiting || waiting.inFlight === true;
    if (!waiting || waiting.inFlight) {
      if (!this.hasRoom) return false;
      waiting = { kind: "log", job, body: { lines: [] }, at: Date.now(), key: crypto.randomUUID() };
      this.#logs.set(job, waiting);
      this.#entries.push(waiting);
    }
    const kept = waiting.body.lines;
    let size = waiting.size ?? 0;
    for (const line of lines) {
      const cut = cleanText(line.text.slice(0, MAX_LINE_LENGTH));
      kept.push({ ...line, text: cut });
      size += 100 + cut.length;
    }
    let omitted = 0;
    for (; kept.length - omitted > MAX_LINES || size > MAX_REQUEST_SIZE; omitted += 1)
      size -= 100 + (kept[omitted]?.text.length ?? 0);
    kept.splice(0, omitted);
    waiting.omittedLines = (waiting.omittedLines ?? 0) + omitted;
    waiting.size = size;
    return isNew;
  }

  /** Mark the next entries that make one request as in flight, and return them. They stay until they are removed. */
  take(): Entry[] {
    const entries: Entry[] = [];
    let size = 0;
    for (const entry of this.#entries) {
      const isSentAlone = entry.kind !== "report" || entry.job.id === null || (entry.failures ?? 0) > 0;
      const ownSize = entry.kind === "report" ? estimateSize(entry.body) : 0;
      const isFull = entries.length === MAX_BATCH || size + ownSize > MAX_REQUEST_SIZE;
      if (entries.length > 0 && (isSentAlone || isFull)) break;
      entry.inFlight = true;
      entries.push(entry);
      size += ownSize;
      if (isSentAlone) break;
    }
    return entries;
  }

  /** Remove entries that were taken, if they are still the first ones. */
  remove(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (this.#entries[0] !== entry) continue;
      this.#entries.shift();
      if (this.#reports.get(entry.job) === entry) this.#reports.delete(entry.job);
      if (this.#logs.get(entry.job) === entry) this.#logs.delete(entry.job);
    }
  }

  /** Put an entry back before all others. */
  putBack(entry: Entry): void {
    this.#entries.unshift(entry);
  }

  /** Remove and settle all entries of a job. */
  drop(job: TrackedJob): void {
    for (const entry of this.#entries) if (entry.job === job) entry.settled = true;
    this.#entries = this.#entries.filter((entry) => entry.job !== job);
    this.#reports.delete(job);
    this.#logs.delete(job);
  }
}

/** Estimate the characters of a report. */
function estimateSize(body: WireReport): number {
  return 200 + (body.error?.length ?? 0) + (body.result ? JSON.stringify(body.result).length : 0);
}
