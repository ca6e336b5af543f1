/** The work of a job, from its beginning to its end. */

import { CallboardError, JobStopped } from "./errors.js";
import type { Job } from "./job.js";
import { isPlainObject } from "./serialize.js";

/** A function that does a job. */
export type Work<T> = (job: Job) => T | Promise<T>;

/**
 * Start a job, do its work, and report how that ended. Returns what the work returns, and throws what it throws; if the
 * job is to stop, what `createStopError` makes of the reason.
 */
export async function runWork<T>(
  job: Job,
  work: Work<T>,
  createStopError: (reason: JobStopped) => unknown = (reason) => reason,
): Promise<T> {
  try {
    await job.start();
  } catch (error) {
    throw error instanceof JobStopped ? createStopError(error) : error;
  }
  let returned: T;
  try {
    returned = await work(job);
  } catch (thrown) {
    const reason = findStopReason(job, thrown);
    try {
      await (reason ? job.reportStopped() : job.fail(thrown));
    } catch (error) {
      // What the work itself threw is not to be hidden, also when the client is strict.
      if (!(error instanceof CallboardError)) throw error;
    }
    throw reason ? createStopError(reason) : thrown;
  }
  if (job.result === null && isPlainObject(returned)) job.result = returned;
  await job.complete();
  return returned;
}

/** Return why the job was to stop, if that ended the work; null if it did not. */
function findStopReason(job: Job, thrown: unknown): JobStopped | null {
  // Thrown by the job or by a verb; or, below, by what the job's signal aborted.
  if (thrown instanceof JobStopped && (thrown === job.stopReason || thrown.job.id === job.id)) return thrown;
  const { cause, name } = (thrown ?? {}) as { name?: unknown; cause?: unknown };
  return job.stopReason !== null && (cause === job.stopReason || name === "AbortError") ? job.stopReason : null;
}
