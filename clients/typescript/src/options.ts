/** What callers may say of a board, of a new job and of a report, and the same in the board's words. */

import type { JobStopped } from "./errors.js";
import type { JobStatus, JsonObject, WireNewJob, WireReport } from "./record.js";
import { cleanText, serializeError, serializeMessage, serializeObject, serializePercent } from "./serialize.js";

/** Which board, and how it is told. All spans are in seconds. */
export interface CallboardOptions {
  /** Like `https://board.example.com`; else `CALLBOARD_URL` says it. */
  url?: string | undefined;
  /** A token of the workspace; else `CALLBOARD_TOKEN` says it. */
  token?: string | undefined;
  /** The name of this worker on the board; by default host and process, where they are known. */
  runner?: string | undefined;
  /** Whether a job throws when the board does not take what it says. */
  strict?: boolean | undefined;
  /** For one request and its answer; 10 by default. */
  timeout?: number | undefined;
  /** From one request of jobs at work to the next, unless one starts or ends; 0.5 by default. */
  interval?: number | undefined;
  /** Hears what a runner's operator should know, like a board that is away; by default the console. */
  warn?: ((message: string) => void) | undefined;
  /** Asks the board instead of the runtime's own `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** A new job, but for its type. */
export interface NewJob {
  /** What it is asked to do. What JSON has no word for is told as text. */
  payload?: JsonObject | undefined;
  /** Words to find it by: up to 20 of 64 characters. */
  tags?: readonly string[] | undefined;
  /** Seconds after which the board fails the job when it still runs, for good. */
  maxDuration?: number | undefined;
  /** Seconds of silence after which the board counts the job as lost. */
  heartbeatTimeout?: number | null | undefined;
  /** The job that this one belongs to. */
  parentId?: string | undefined;
  /** The runner's own page of it, http or https. */
  link?: string | undefined;
  /** The runner's own id for it: a second job with the same key and the same content is the first one. */
  key?: string | undefined;
}

/** How `withJob` ends. */
export interface WorkOptions {
  /**
   * What it throws when the board said that the job is to stop, in place of `JobCanceled` or `JobTimedOut`: an engine that
   * tries again whatever fails may have an error of its own for what is to be left.
   */
  readonly createStopError?: ((reason: JobStopped) => unknown) | undefined;
}

/** A job that exists, to be worked at. */
export interface ExistingJob extends WorkOptions {
  readonly id: string;
  /** As it was created with, if it has less than half a minute: signs of life come three times as often. */
  readonly heartbeatTimeout?: number | null | undefined;
}

/** What there is to say of a job. Nothing at all is a sign of life. */
export interface Report {
  status?: JobStatus | undefined;
  /** Percent, 0 to 100. */
  progress?: number | undefined;
  message?: string | undefined;
  /** With a job that runs or completes. */
  result?: JsonObject | undefined;
  /** Why it failed, with status `failed` alone: a text, or whatever was thrown. */
  error?: unknown;
  link?: string | undefined;
  runner?: string | undefined;
}

/** A new job in the board's words. */
export function newJob(type: string, said: NewJob): WireNewJob {
  const payload = serializeObject(said.payload);
  return defined({
    type: cleanText(String(type).slice(0, 200)),
    payload: payload ?? undefined,
    tags: said.tags?.length ? said.tags.map((tag) => cleanText(String(tag))) : undefined,
    max_duration: said.maxDuration,
    heartbeat_timeout: said.heartbeatTimeout ?? undefined,
    parent_id: said.parentId,
    link: said.link,
  }) as WireNewJob;
}

/** A report in the board's words. */
export function report(said: Report): WireReport {
  const { error } = said;
  return defined({
    status: said.status,
    progress: said.progress === undefined ? undefined : serializePercent(said.progress),
    message: said.message === undefined ? undefined : serializeMessage(said.message),
    result: serializeObject(said.result) ?? undefined,
    error: typeof error === "string" ? cleanText(error) : error === undefined ? undefined : serializeError(error),
    link: said.link,
    runner: said.runner,
  }) as WireReport;
}

/** Without what is not said. */
function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
