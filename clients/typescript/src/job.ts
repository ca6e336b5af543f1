/** A job while its work is done: what the work reports, and that it is to stop. */

import { BoardUnreachable, CallboardError, JobStopped, JobTimedOut } from "./errors.js";
import type { Entry, LogLine, TrackedJob } from "./outbox.js";
import type { JsonObject, LogLevel, WireNewJob, WireReport } from "./record.js";
import type { Sender } from "./sender.js";
import { cleanText, serializeError, serializeMessage, serializeObject, serializePercent } from "./serialize.js";

/** What the client gives a job. */
export interface JobSettings {
  /** Null where no board is configured. */
  readonly sender: Sender | null;
  readonly strict: boolean;
  /** Seconds from one sign of life to the next. */
  readonly heartbeatInterval: number;
  readonly runner?: string | undefined;
  /** The id of a job that exists; or … */
  readonly id?: string | undefined;
  /** … a job to create, with its `Idempotency-Key`. */
  readonly create?: { readonly body: WireNewJob; readonly key: string } | undefined;
}

/**
 * One job at work, as `withJob` gives it to the work. Nothing here throws because of the board, but for `JobStopped`,
 * unless the client is `strict`. While the board is away reports wait, and are sent later.
 */
export class Job {
  /**
   * What the job produced, sent when it completes. An object that the work returns counts unless this is set.
   *
   * @default null
   *
   * @example
   * ```
   * job.result = { pages: 10 };
   * ```
   */
  result: JsonObject | null = null;
  readonly #settings: JobSettings;
  readonly #job: TrackedJob;
  readonly #abort = new AbortController();
  #ended = false;

  /** Use `withJob`. */
  constructor(settings: JobSettings) {
    this.#settings = settings;
    const onStop = (reason: JobStopped) => this.#abort.abort(reason);
    this.#job = { id: settings.id ?? null, dropped: settings.sender === null, stopReason: null, onStop };
  }

  /** The job's id; null as long as the board has not created it. */
  get id(): string | null {
    return this.#job.id;
  }

  /**
   * Aborts when the job is to stop, with `JobCanceled` or `JobTimedOut` as its reason.
   *
   * @example
   * ```
   * await fetch("https://example.com/report", { signal: job.signal });
   * ```
   */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Why the job is to stop, `JobCanceled` or `JobTimedOut`; null as long as it is not. */
  get stopReason(): JobStopped | null {
    return this.#job.stopReason;
  }

  /**
   * Throw `JobCanceled` or `JobTimedOut` if the board said that the job is to stop; else do nothing.
   *
   * @example
   * ```
   * for (const row of rows) {
   *   job.throwIfStopped();
   *   importRow(row);
   * }
   * ```
   */
  throwIfStopped(): void {
    if (this.#job.stopReason) throw this.#job.stopReason;
  }

  /**
   * Report how far the work is, in percent from 0 to 100, and in one line what it does. Returns at once; of many calls
   * the board gets the last, twice a second. Throws `JobCanceled` or `JobTimedOut` if the job is to stop.
   *
   * @example
   * ```
   * job.progress(40, "page 4 of 10");
   * ```
   */
  progress(percent?: number | null, message?: string | null): void {
    const progress = percent === undefined || percent === null ? undefined : serializePercent(percent);
    this.#report({
      ...(progress !== undefined && { progress }),
      ...(message !== undefined && message !== null && { message: serializeMessage(message) }),
    });
  }

  /**
   * Report what there is so far: a result that may still grow, the address of a page about the job. Returns at once.
   * Throws `JobCanceled` or `JobTimedOut` if the job is to stop.
   *
   * @example
   * ```
   * job.update({ result: { pages: 4 }, link: "https://example.com/reports/2026-10" });
   * ```
   */
  update(fields: { result?: JsonObject; link?: string }): void {
    this.#report({
      ...(fields.result !== undefined && { result: serializeObject(fields.result) }),
      ...(fields.link !== undefined && { link: fields.link }),
    });
  }

  /**
   * Add one or more lines to the job's log. Returns at once, and never throws.
   *
   * @example
   * ```
   * job.log("3 rows have no month", "warning");
   * ```
   */
  log(lines: string, level: LogLevel = "info"): void {
    const at = new Date().toISOString();
    const texts = String(lines)
      .replace(/\r?\n$/, "")
      .split(/\r?\n/);
    const logLines = texts.map((line): LogLine => ({ text: cleanText(line), level, at }));
    this.#settings.sender?.log(this.#job, logLines);
  }

  #report(fields: WireReport): void {
    this.throwIfStopped();
    // Work that nobody awaited may go on after the end, when the board would refuse its reports.
    if (!this.#ended) this.#settings.sender?.report(this.#job, fields);
  }

  // --- its beginning and its end, which `withJob` reports -----------------------------------------------------------

  /** Create the job if it is new, report that it runs, and start its heartbeat. Throws the reason if it is to stop. */
  async start(): Promise<void> {
    const { create, runner, sender, heartbeatInterval } = this.#settings;
    const job = this.#job;
    if (create) {
      await this.#submit({ kind: "create", job, body: create.body, key: create.key, at: Date.now(), isFirst: true });
    }
    const body: WireReport = {
      status: "running",
      ...(runner !== undefined && { runner: cleanText(runner.slice(0, 200)) }),
    };
    await this.#submit({ kind: "report", job, body, at: Date.now(), isFirst: !create });
    if (job.stopReason) await this.reportStopped();
    this.throwIfStopped();
    sender?.startHeartbeat(job, heartbeatInterval);
  }

  /** Report that it completed. Of a canceled job the board notes that it finished anyway. */
  async complete(): Promise<void> {
    const result = serializeObject(this.result);
    await this.#end({ status: "completed", ...(result && { result }) });
  }

  /** Report that it failed, with the stack of what was thrown. */
  async fail(thrown: unknown): Promise<void> {
    await this.#end({ status: "failed", error: serializeError(thrown) });
  }

  /** Report that the work has stopped, as the board wanted. */
  async reportStopped(): Promise<void> {
    await this.#end({ status: "canceled" });
  }

  async #end(body: WireReport): Promise<void> {
    const job = this.#job;
    this.#ended = true;
    this.#settings.sender?.stopHeartbeat(job);
    // A job past its time was failed for good by the board.
    if (!(job.stopReason instanceof JobTimedOut)) await this.#submit({ kind: "report", job, body, at: Date.now() });
  }

  async #submit(entry: Entry): Promise<void> {
    if (!this.#settings.sender) return;
    const outcome = await this.#settings.sender.submit({ ...entry, urgent: true });
    // The work itself throws a stop, from where it can be left.
    if (!this.#settings.strict || outcome instanceof JobStopped) return;
    if (outcome instanceof CallboardError) throw outcome;
    if (outcome === null) throw new BoardUnreachable("The board is away; what the job reports is sent later.");
  }
}
