/** The options of the client, of jobs and of reports, and how they are written in the board's words. */

import type { JobStopped } from "./errors.js";
import type { JobStatus, JsonObject, WireNewJob, WireReport } from "./record.js";
import { cleanText, serializeError, serializeMessage, serializeObject, serializePercent } from "./serialize.js";

/** Which board, and how the client speaks with it. All spans are in seconds. */
export interface CallboardOptions {
  /**
   * The address of the board.
   *
   * @default CALLBOARD_URL of the environment
   *
   * @example
   * ```
   * new Callboard({ url: "https://board.example.com" });
   * ```
   */
  url?: string | undefined;

  /**
   * A token of the workspace, with the scope `jobs:write`; to cancel jobs, `jobs:cancel` as well.
   *
   * @default CALLBOARD_TOKEN of the environment
   *
   * @example
   * ```
   * new Callboard({ token: await secrets.get("callboard") });
   * ```
   */
  token?: string | undefined;

  /**
   * The name of this worker on the board, up to 200 characters.
   *
   * @default host and process id, like `worker-1:4711`; no name where there is no process
   *
   * @example
   * ```
   * new Callboard({ runner: "reports-eu-1" });
   * ```
   */
  runner?: string | undefined;

  /**
   * Whether `withJob` throws when the board refuses what starts or ends a job (`BoardRefused`) or is away
   * (`BoardUnreachable`). Without it the work goes on, and what can wait is sent later.
   *
   * @default false
   *
   * @example
   * ```
   * // In a check of the configuration: a wrong token is an error here.
   * await new Callboard({ strict: true }).withJob("self-check", () => "ok");
   * ```
   */
  strict?: boolean | undefined;

  /**
   * Seconds for one request and its answer.
   *
   * @default 10
   *
   * @example
   * ```
   * new Callboard({ timeout: 3 });
   * ```
   */
  timeout?: number | undefined;

  /**
   * Seconds from one request of jobs at work to the next. What starts or ends a job does not wait for it.
   *
   * @default 0.5
   *
   * @example
   * ```
   * // Of many jobs at once, none needs to be shown more often.
   * new Callboard({ interval: 2 });
   * ```
   */
  interval?: number | undefined;

  /**
   * Receives what whoever runs this worker should know: a board that is away, a report that was refused.
   *
   * @default console.warn
   *
   * @example
   * ```
   * new Callboard({ warn: (message) => logger.warn({ component: "callboard" }, message) });
   * ```
   */
  warn?: ((message: string) => void) | undefined;

  /**
   * Sends the requests in place of the runtime's own `fetch`.
   *
   * @default fetch
   *
   * @example
   * ```
   * // Some frameworks keep what their fetch has answered.
   * new Callboard({ fetch: (url, init) => fetch(url, { ...init, cache: "no-store" }) });
   * ```
   */
  fetch?: typeof fetch | undefined;
}

/** The options of a new job. */
export interface NewJob {
  /**
   * What the job is asked to do, up to 256 KiB as JSON. What JSON has no word for becomes text.
   *
   * @default none
   *
   * @example
   * ```
   * await board.enqueueJob("generate-report", { payload: { month: "2026-10" } });
   * ```
   */
  payload?: JsonObject | undefined;

  /**
   * Words to find the job by: up to 20, of up to 64 characters.
   *
   * @default []
   *
   * @example
   * ```
   * await board.enqueueJob("generate-report", { tags: ["monthly", "eu"] });
   * ```
   */
  tags?: readonly string[] | undefined;

  /**
   * Seconds after which the board fails the job if it still runs, for good: it is *timed out*.
   *
   * @default what the workspace says for jobs of this type, or no limit
   *
   * @example
   * ```
   * await board.withJob("generate-report", { maxDuration: 300 }, work);
   * ```
   */
  maxDuration?: number | undefined;

  /**
   * Seconds of silence after which the board counts the running job as *lost*. `withJob` gives three signs of life in
   * this time, but at least one every ten seconds. Null leaves it to the workspace.
   *
   * @default 60 for `withJob`; for `enqueueJob` what the workspace says for jobs of this type, or no limit
   *
   * @example
   * ```
   * await board.withJob("transcode", { heartbeatTimeout: 300 }, work); // its loops may block for minutes
   * ```
   */
  heartbeatTimeout?: number | null | undefined;

  /**
   * The id of the job that this one belongs to.
   *
   * @default none
   *
   * @example
   * ```
   * await board.withJob("page", { parentId: job.id ?? undefined }, work);
   * ```
   */
  parentId?: string | undefined;

  /**
   * The address, http or https, of the runner's own page about the job.
   *
   * @default none
   *
   * @example
   * ```
   * await board.withJob("deploy", { link: process.env.CI_JOB_URL }, work);
   * ```
   */
  link?: string | undefined;

  /**
   * The runner's own id for the job: a second job with the same key and the same content is the first one.
   *
   * @default a new id for each call
   *
   * @example
   * ```
   * await board.withJob("generate-report", { key: `${run.id}:${run.attempt}` }, work);
   * ```
   */
  key?: string | undefined;
}

/** How `withJob` ends. */
export interface WorkOptions {
  /**
   * Creates what `withJob` throws if the job is to stop. An engine that tries again whatever fails may have an error of
   * its own for what it is to leave.
   *
   * @default (reason) => reason, which is `JobCanceled` or `JobTimedOut`
   *
   * @example
   * ```
   * const createStopError = (reason: Error) => new NonRetriableError(reason.message);
   * await board.withJob("generate-report", { createStopError }, work);
   * ```
   */
  readonly createStopError?: ((reason: JobStopped) => unknown) | undefined;
}

/** A job that was created before, for `withJob`. */
export interface ExistingJob extends WorkOptions {
  /**
   * The job's id, as `enqueueJob` returned it.
   *
   * @example
   * ```
   * await board.withJob({ id }, work);
   * ```
   */
  readonly id: string;

  /**
   * The seconds that the job was created with, if these are less than half a minute: `withJob` gives three signs of life
   * in this time, instead of one every ten seconds.
   *
   * @default null
   *
   * @example
   * ```
   * await board.withJob({ id, heartbeatTimeout: 5 }, work);
   * ```
   */
  readonly heartbeatTimeout?: number | null | undefined;
}

/** What `updateJobStatus` reports of a job; what is left out stays as it is. An empty report is a sign of life. */
export interface Report {
  /**
   * The status to which the job moves.
   *
   * @default the status that the job has
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { status: "running" });
   * ```
   */
  status?: JobStatus | undefined;

  /**
   * Percent, 0 to 100; rounded down.
   *
   * @default as it is
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { progress: 40 });
   * ```
   */
  progress?: number | undefined;

  /**
   * One line of what the job does now, cut to 500 characters.
   *
   * @default as it is
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { progress: 40, message: "page 4 of 10" });
   * ```
   */
  message?: string | undefined;

  /**
   * What the job produced, or has produced so far, up to 256 KiB as JSON; of a job that runs or completes.
   *
   * @default as it is
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { status: "completed", result: { pages: 10 } });
   * ```
   */
  result?: JsonObject | undefined;

  /**
   * Why the job failed, with the status `failed` alone: a text, or whatever was thrown, which is sent with its stack.
   *
   * @default none
   *
   * @example
   * ```
   * try {
   *   await writeReport();
   * } catch (error) {
   *   await board.updateJobStatus(id, { status: "failed", error });
   * }
   * ```
   */
  error?: unknown;

  /**
   * The address, http or https, of the runner's own page about the job.
   *
   * @default as it is
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { link: "https://example.com/runs/4711" });
   * ```
   */
  link?: string | undefined;

  /**
   * The name of the worker, up to 200 characters.
   *
   * @default as it is
   *
   * @example
   * ```
   * await board.updateJobStatus(id, { status: "running", runner: "reports-eu-1" });
   * ```
   */
  runner?: string | undefined;
}

/** Write a new job in the board's words. */
export function serializeNewJob(type: string, options: NewJob): WireNewJob {
  return omitUndefined({
    type: cleanText(String(type).slice(0, 200)),
    payload: serializeObject(options.payload) ?? undefined,
    tags: options.tags?.length ? options.tags.map((tag) => cleanText(String(tag))) : undefined,
    max_duration: options.maxDuration,
    heartbeat_timeout: options.heartbeatTimeout ?? undefined,
    parent_id: options.parentId,
    link: options.link,
  }) as WireNewJob;
}

/** Write a report in the board's words. */
export function serializeReport(report: Report): WireReport {
  const { error } = report;
  return omitUndefined({
    status: report.status,
    progress: report.progress === undefined ? undefined : serializePercent(report.progress),
    message: report.message === undefined ? undefined : serializeMessage(report.message),
    result: serializeObject(report.result) ?? undefined,
    error: typeof error === "string" ? cleanText(error) : error === undefined ? undefined : serializeError(error),
    link: report.link,
    runner: report.runner,
  }) as WireReport;
}

function omitUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
