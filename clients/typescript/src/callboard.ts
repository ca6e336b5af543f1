/** The board as a runner sees it: four verbs, and jobs that report by themselves. */

import { ownName, variable, warnOnConsole } from "./environment.js";
import { NotConfigured } from "./errors.js";
import { Job } from "./job.js";
import type { CallboardOptions, ExistingJob, NewJob, Report, WorkOptions } from "./options.js";
import { newJob, report } from "./options.js";
import type { JobRecord } from "./record.js";
import { parseJob } from "./requests.js";
import { retry } from "./retry.js";
import { Sender } from "./sender.js";
import { keyOf } from "./serialize.js";
import { Transport } from "./transport.js";
import { work } from "./work.js";

/** Seconds of silence after which the board fails a job as lost, unless the job asks for others. */
const HEARTBEAT_TIMEOUT = 60;
/** Seconds from one sign of life to the next, at most: as long a job may not have heard of its cancel. */
const BEAT_EVERY = 10;
/** Seconds from one request to the next. */
const INTERVAL = 0.5;
/** Seconds for one request. */
const TIMEOUT = 10;

/**
 * A board, as `url` and `token` or `CALLBOARD_URL` and `CALLBOARD_TOKEN` name it. One for all jobs of a process.
 *
 * Without an address or a token `withJob` runs the work as it would without a board, and says so once; the verbs throw
 * `NotConfigured`.
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
   * Do the work of a job, new or created before, and tell the board how it goes: that it runs, every ten seconds that
   * it lives, that it completed with the object that the work returns, or failed with the stack of what it throws.
   *
   * Gives what the work returns, and throws what it throws. On a cancel `job.signal` aborts and `job.progress` throws
   * `JobCanceled`; past `maxDuration` it is `JobTimedOut`; a job canceled before its turn does not run. Nothing else
   * throws because of the board, unless the client is `strict`: then `BoardRefused` and `BoardUnreachable`.
   *
   * Waits for the board at its beginning and its end, five seconds at most, and not at all once the board is away.
   */
  withJob<T>(type: string, job: (job: Job) => T | Promise<T>): Promise<T>;
  withJob<T>(type: string, options: NewJob & WorkOptions, job: (job: Job) => T | Promise<T>): Promise<T>;
  withJob<T>(existing: ExistingJob, job: (job: Job) => T | Promise<T>): Promise<T>;
  async withJob<T>(
    which: string | ExistingJob,
    second: (NewJob & WorkOptions) | ((job: Job) => T | Promise<T>),
    third?: (job: Job) => T | Promise<T>,
  ): Promise<T> {
    const [options, does] = typeof second === "function" ? [{}, second] : [second, third];
    if (does === undefined) throw new TypeError("withJob wants the work as its last argument.");
    const isNew = typeof which === "string";
    const job = isNew ? await this.#newJob(which, options) : this.#existingJob(which);
    return work(job, does, (isNew ? options : which).stopsWith);
  }

  async #newJob(type: string, options: NewJob): Promise<Job> {
    const { heartbeatTimeout = HEARTBEAT_TIMEOUT } = options;
    const key = await keyOf(options.key || crypto.randomUUID());
    const body = newJob(type, { ...options, heartbeatTimeout });
    return new Job({ ...this.#usual(heartbeatTimeout), create: { body, key } });
  }

  #existingJob({ id, heartbeatTimeout = null }: ExistingJob): Job {
    return new Job({ ...this.#usual(heartbeatTimeout), id });
  }

  #usual(heartbeatTimeout: number | null) {
    return {
      sender: this.#connected(),
      strict: this.#options.strict ?? false,
      beatEvery: Math.min(BEAT_EVERY, (heartbeatTimeout ?? Infinity) / 3),
      runner: this.#options.runner ?? ownName(),
    };
  }

  /**
   * Wait until the board was told everything, also while it is away: before a program ends, or a function freezes.
   * Waits so many seconds at most. Whether everything was told.
   */
  async flush(seconds = 30): Promise<boolean> {
    return this.#sender === null || this.#sender.flush(seconds);
  }

  // --- the four verbs ------------------------------------------------------------------------------------------------

  /**
   * Create a pending job. Sent again after a failure it is created once; with `key` once for ever.
   * Throws `BoardRefused` and, after some tries, `BoardUnreachable`.
   */
  async enqueueJob(type: string, options: NewJob = {}): Promise<JobRecord> {
    return this.#ask("POST", "/jobs", newJob(type, options), await keyOf(options.key || crypto.randomUUID()));
  }

  /**
   * Report on a job; with nothing said it is a sign of life. Throws `JobCanceled` or `JobTimedOut` when the job is to
   * stop, `JobConflict` for another report that its status does not allow, `JobNotFound`, `BoardRefused` and, after
   * some tries, `BoardUnreachable`.
   */
  updateJobStatus(id: string, said: Report = {}): Promise<JobRecord> {
    return this.#ask("PATCH", `/jobs/${encodeURIComponent(id)}`, report(said));
  }

  /** The job as it stands. Throws `JobNotFound`, `BoardRefused` and, after some tries, `BoardUnreachable`. */
  getJobStatus(id: string): Promise<JobRecord> {
    return this.#ask("GET", `/jobs/${encodeURIComponent(id)}`);
  }

  /** Cancel a job, for which the token needs `jobs:cancel`. Throws `JobConflict` if it has ended already. */
  cancelJob(id: string): Promise<JobRecord> {
    return this.#ask("POST", `/jobs/${encodeURIComponent(id)}/cancel`);
  }

  async #ask(method: string, path: string, body?: object, key?: string): Promise<JobRecord> {
    const sender = this.#connected(false);
    if (!sender) throw new NotConfigured("CALLBOARD_URL and CALLBOARD_TOKEN say which board; one of them is not set.");
    return retry(async () => parseJob(await sender.transport.call(method, path, body, key)));
  }

  // --- the board -----------------------------------------------------------------------------------------------------

  /** What speaks to the board; null if nobody says which. Some runtimes have their environment only at the first use. */
  #connected(warns = true): Sender | null {
    const url = this.#options.url || variable("CALLBOARD_URL");
    const token = this.#options.token || variable("CALLBOARD_TOKEN");
    if (this.#sender === null && url && token) {
      const { timeout = TIMEOUT, interval = INTERVAL } = this.#options;
      const transport = new Transport(url.trim(), token.trim(), timeout, this.#options.fetch);
      this.#sender = new Sender(transport, interval, (message) => this.#warn(message));
    }
    if (this.#sender === null && warns && !this.#warned) {
      this.#warned = true;
      this.#warn(
        `${url ? "CALLBOARD_TOKEN" : "CALLBOARD_URL"} is not set: no board hears of the jobs of this process.`,
      );
    }
    return this.#sender;
  }

  #warn(message: string): void {
    try {
      (this.#options.warn ?? warnOnConsole)(message);
    } catch {
      // Who hears warnings is no reason for a job to fail.
    }
  }
}
