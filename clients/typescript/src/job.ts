/** A job while it runs: what its work says of it, and what it hears. */

import { BoardUnreachable, CallboardError, JobStopped, JobTimedOut } from "./errors.js";
import type { Entry, LogLine, TrackedJob } from "./outbox.js";
import type { JobRecord, JsonObject, LogLevel, WireNewJob, WireReport } from "./record.js";
import type { Sender } from "./sender.js";
import { errorText, messageText, percentage, plainObject, text } from "./serialize.js";

/** What a job is, to the class below. */
export interface About {
  /** Null where no board is configured. */
  readonly sender: Sender | null;
  readonly strict: boolean;
  /** Seconds from one sign of life to the next. */
  readonly beatEvery: number;
  readonly runner?: string | undefined;
  /** A job that exists, or … */
  readonly id?: string | undefined;
  /** … one that is new, with the runner's own id for it. */
  readonly create?: { readonly body: WireNewJob; readonly key: string } | undefined;
}

/**
 * One job at work, as `withJob` gives it. Nothing here throws because of the board, but for `JobStopped`, unless the
 * client is `strict`. While the board is away everything is kept, and told later.
 */
export class Job {
  /** What the job produced, told when it completes; an object that the work returns counts unless this is set. */
  result: JsonObject | null = null;
  readonly #about: About;
  readonly #job: TrackedJob;
  readonly #abort = new AbortController();
  #ended = false;

  /** Use `withJob`. */
  constructor(about: About) {
    this.#about = about;
    const onStop = (stop: JobStopped) => this.#abort.abort(stop);
    this.#job = { id: about.id ?? null, dropped: about.sender === null, stopReason: null, onStop };
  }

  /** The job's id; null as long as the board could not be asked for one. */
  get id(): string | null {
    return this.#job.id;
  }

  /** Aborts when the board said that the job is to stop, with `JobCanceled` or `JobTimedOut`: for `fetch` and others. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What the board said when the job was to stop; null as long as it is not. */
  get stop(): JobStopped | null {
    return this.#job.stopReason;
  }

  /** Throw `JobCanceled` or `JobTimedOut` if the board said that the job is to stop; else do nothing. */
  check(): void {
    if (this.#job.stopReason) throw this.#job.stopReason;
  }

  /**
   * Say how far it is, in percent from 0 to 100, and in one line what it does. Returns at once; of many calls the board
   * hears the last, twice a second. Throws `JobCanceled` or `JobTimedOut` when the board said that it is to stop.
   */
  progress(percent?: number | null, message?: string | null): void {
    const whole = percent === undefined || percent === null ? undefined : percentage(percent);
    this.#report({
      ...(whole !== undefined && { progress: whole }),
      ...(message !== undefined && message !== null && { message: messageText(message) }),
    });
  }

  /** Say what there is so far: a result that may still grow, the address of a page. Throws as `progress`. */
  update(said: { result?: JsonObject; link?: string }): void {
    this.#report({
      ...(said.result !== undefined && { result: plainObject(said.result) }),
      ...(said.link !== undefined && { link: said.link }),
    });
  }

  /** Add a line, or several, to the job's log. Returns at once, never throws. */
  log(lines: string, level: LogLevel = "info"): void {
    const at = new Date().toISOString();
    const told = String(lines)
      .replace(/\r?\n$/, "")
      .split(/\r?\n/);
    const written = told.map((line): LogLine => ({ text: text(line), level, at }));
    this.#about.sender?.log(this.#job, written);
  }

  #report(fields: WireReport): void {
    this.check();
    // What is said after the end, by work that nobody awaited, comes too late.
    if (!this.#ended) this.#about.sender?.report(this.#job, fields);
  }

  // --- its beginning and its end, which `withJob` tells --------------------------------------------------------------

  /** Create the job if it is new, say that it runs, and give signs of life from now on. Throws if it is to stop. */
  async start(): Promise<void> {
    const { create, runner, sender, beatEvery } = this.#about;
    const job = this.#job;
    if (create)
      await this.#submit({ kind: "create", job, body: create.body, key: create.key, at: Date.now(), isFirst: true });
    const body: WireReport = { status: "running", ...(runner !== undefined && { runner: text(runner.slice(0, 200)) }) };
    await this.#submit({ kind: "report", job, body, at: Date.now(), isFirst: !create });
    if (job.stopReason) await this.stopped();
    this.check();
    sender?.startHeartbeat(job, beatEvery);
  }

  /** Say that it completed. Of a canceled job the board notes that it finished anyway. */
  async complete(): Promise<void> {
    const result = plainObject(this.result);
    await this.#end({ status: "completed", ...(result && { result }) });
  }

  /** Say that it failed, with the stack of what was thrown. */
  async fail(thrown: unknown): Promise<void> {
    await this.#end({ status: "failed", error: errorText(thrown) });
  }

  /** Say that it has stopped, as the board wanted. */
  async stopped(): Promise<void> {
    await this.#end({ status: "canceled" });
  }

  async #end(body: WireReport): Promise<void> {
    const job = this.#job;
    this.#ended = true;
    this.#about.sender?.stopHeartbeat(job);
    // A job past its time was failed for good by the board.
    if (!(job.stopReason instanceof JobTimedOut)) await this.#submit({ kind: "report", job, body, at: Date.now() });
  }

  async #submit(entry: Entry): Promise<void> {
    if (!this.#about.sender) return;
    const outcome: JobRecord | CallboardError | null = await this.#about.sender.submit({ ...entry, urgent: true });
    // Of a stop the work hears where it can leave.
    if (!this.#about.strict || outcome instanceof JobStopped) return;
    if (outcome instanceof CallboardError) throw outcome;
    if (outcome === null) throw new BoardUnreachable("The board is away; what the job says of itself is told later.");
  }
}
