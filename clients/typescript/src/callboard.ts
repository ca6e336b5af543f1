/** The client: four verbs, and jobs that report by themselves. */

import { getDefaultRunner, getVariable, warnOnConsole } from "./environment.js";
import { NotConfigured } from "./errors.js";
import { Job, type JobSettings } from "./job.js";
import type { CallboardOptions, ExistingJob, NewJob, Report, WorkOptions } from "./options.js";
import { serializeNewJob, serializeReport } from "./options.js";
import type { JobRecord } from "./record.js";
import { createPath, parseJob } from "./requests.js";
import { retry } from "./retry.js";
import { Sender } from "./sender.js";
import { toIdempotencyKey } from "./serialize.js";
import { Transport } from "./transport.js";
import { runWork, type Work } from "./work.js";

/** Seconds of silence after which the board counts a job as lost, unless the job asks for others. */
const HEARTBEAT_TIMEOUT = 60;
/** Seconds from one sign of life to the next at most, and so the longest until a silent job learns of its cancel. */
const MAX_HEARTBEAT_INTERVAL = 10;
/** Seconds from one request to the next. */
const INTERVAL = 0.5;
/** Seconds for one request. */
const TIMEOUT = 10;

/**
 * A client of the board that `url` and `token`, or `CALLBOARD_URL` and `CALLBOARD_TOKEN`, name. One for all jobs of a
 * process.
 *
 * Without an address or a token `withJob` does the work as it would without a board, and warns once; the verbs throw
 * `NotConfigured`.
 *
 * @example
 * ```
 * const board = new Callboard();
 * await board.withJob("generate-report", { payload: { month: "2026-10" } }, async (job) => {
 *   for (let page = 1; page <= 10; page++) {
 *     await writePage(page, job.signal);
 *     job.progress(page * 10, `page ${page} of 10`);
 *   }
 *   return { pages: 10 };
 * });
 * ```
 */
export class Callboard {
  readonly #options: CallboardOptions;
  #sender: Sender | null = null;
  #warned = false;

  constructor(options: CallboardOptions = {}) {
    this.#options = options;
  }

  // --- jobs that report by themselves --------------------------------------------------------------------------------

  /**
   * Do the work of a job, new or created before, and report how it goes: that it runs, every ten seconds that it lives,
   * that it completed with the object that the work returns, or failed with the stack of what it throws.
   *
   * Returns what the work returns, and throws what it throws. On a cancel `job.signal` aborts and `job.progress` throws
   * `JobCanceled`; past `maxDuration` it is `JobTimedOut`; a job canceled before its turn does not run. Nothing else
   * throws because of the board, unless the client is `strict`: then `BoardRefused` and `BoardUnreachable`.
   *
   * Waits for the board at its beginning and its end, five seconds at most, and not at all once the board is away.
   *
   * @example
   * ```
   * const pages = await board.withJob("generate-report", async (job) => {
   *   job.progress(50, "half of it");
   *   return 10;
   * });
   *
   * await board.withJob({ id }, (job) => writeReport(job.signal)); // created elsewhere with enqueueJob
   * ```
   */
  withJob<T>(type: string, work: Work<T>): Promise<T>;
  withJob<T>(type: string, options: NewJob & WorkOptions, work: Work<T>): Promise<T>;
  withJob<T>(existing: ExistingJob, work: Work<T>): Promise<T>;
  async withJob<T>(
    typeOrExisting: string | ExistingJob,
    optionsOrWork: (NewJob & WorkOptions) | Work<T>,
    lastWork?: Work<T>,
  ): Promise<T> {
    const [options, work] = typeof optionsOrWork === "function" ? [{}, optionsOrWork] : [optionsOrWork, lastWork];
    if (work === undefined) throw new TypeError("withJob wants the work as its last argument.");
    if (typeof typeOrExisting !== "string") {
      return runWork(this.#attachJob(typeOrExisting), work, typeOrExisting.createStopError);
    }
    return runWork(await this.#prepareJob(typeOrExisting, options), work, options.createStopError);
  }

  async #prepareJob(type: string, options: NewJob): Promise<Job> {
    const { heartbeatTimeout = HEARTBEAT_TIMEOUT } = options;
    const key = await toIdempotencyKey(options.key || crypto.randomUUID());
    const body = serializeNewJob(type, { ...options, heartbeatTimeout });
    return new Job({ ...this.#createSettings(heartbeatTimeout), create: { body, key } });
  }

  #attachJob({ id, heartbeatTimeout = null }: ExistingJob): Job {
    return new Job({ ...this.#createSettings(heartbeatTimeout), id });
  }

  #createSettings(heartbeatTimeout: number | null): JobSettings {
    return {
      sender: this.#connect(),
      strict: this.#options.strict ?? false,
      heartbeatInterval: Math.min(MAX_HEARTBEAT_INTERVAL, (heartbeatTimeout ?? Infinity) / 3),
      runner: this.#options.runner ?? getDefaultRunner(),
    };
  }

  /**
   * Wait until everything is sent to the board, for so many seconds at most, also while it is away: before a program
   * ends, or a function freezes. Returns whether everything is sent.
   *
   * @example
   * ```
   * if (!(await board.flush(10))) console.warn("Some reports were not sent.");
   * ```
   */
  async flush(seconds = 30): Promise<boolean> {
    return this.#sender === null || this.#sender.flush(seconds);
  }

  // --- the four verbs ------------------------------------------------------------------------------------------------

  /**
   * Create a pending job. Sent again after a failure it is created once; with `key` once for ever.
   * Throws `BoardRefused` and, after some tries, `BoardUnreachable`.
   *
   * @example
   * ```
   * const { id } = await board.enqueueJob("generate-report", { payload: { month: "2026-10" } });
   * ```
   */
  async enqueueJob(type: string, options: NewJob = {}): Promise<JobRecord> {
    return this.#request(
      "POST",
      "/jobs",
      serializeNewJob(type, options),
      await toIdempotencyKey(options.key || crypto.randomUUID()),
    );
  }

  /**
   * Report on a job; an empty report is a sign of life. Throws `JobCanceled` or `JobTimedOut` if the job is to stop,
   * `JobConflict` for another report that its status does not allow, `JobNotFound`, `BoardRefused` and, after some
   * tries, `BoardUnreachable`.
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { status: "running", progress: 40 });
   * ```
   */
  updateJobStatus(id: string, report: Report = {}): Promise<JobRecord> {
    return this.#request("PATCH", createPath(id), serializeReport(report));
  }

  /**
   * Get a job as it stands. Throws `JobNotFound`, `BoardRefused` and, after some tries, `BoardUnreachable`.
   *
   * @example
   * ```
   * const { status, result } = await board.getJobStatus(id);
   * ```
   */
  getJobStatus(id: string): Promise<JobRecord> {
    return this.#request("GET", createPath(id));
  }

  /**
   * Cancel a job, for which the token needs `jobs:cancel`. Throws `JobConflict` if it has ended already, `JobNotFound`,
   * `BoardRefused` and, after some tries, `BoardUnreachable`.
   *
   * @example
   * ```
   * await board.cancelJob(id);
   * ```
   */
  cancelJob(id: string): Promise<JobRecord> {
    return this.#request("POST", `${createPath(id)}/cancel`);
  }

  async #request(method: string, path: string, body?: object, key?: string): Promise<JobRecord> {
    const sender = this.#connect(false);
    if (!sender) throw new NotConfigured("CALLBOARD_URL and CALLBOARD_TOKEN say which board; one of them is not set.");
    return retry(async () => parseJob(await sender.transport.call(method, path, body, key)));
  }

  // --- the board -----------------------------------------------------------------------------------------------------

  /** Return the sender, made at the first use; null, with one warning, if there is no address or no token. */
  #connect(warns = true): Sender | null {
    // Read here, because some runtimes have no environment before the first request.
    const url = this.#options.url || getVariable("CALLBOARD_URL");
    const token = this.#options.token || getVariable("CALLBOARD_TOKEN");
    if (this.#sender === null && url && token) {
      const { timeout = TIMEOUT, interval = INTERVAL } = this.#options;
      const transport = new Transport(url.trim(), token.trim(), timeout, this.#options.fetch);
      this.#sender = new Sender(transport, interval, (message) => this.#warn(message));
    }
    if (this.#sender === null && warns && !this.#warned) {
      this.#warned = true;
      const missing = url ? "CALLBOARD_TOKEN" : "CALLBOARD_URL";
      this.#warn(`${missing} is not set: the jobs of this process are reported to no board.`);
    }
    return this.#sender;
  }

  #warn(message: string): void {
    try {
      (this.#options.warn ?? warnOnConsole)(message);
    } catch {
      // A fault of the caller's own function is no reason for a job to fail.
    }
  }
}
