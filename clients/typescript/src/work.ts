/** The work of a job, from its beginning to its end. */

import { CallboardError, JobStopped } from "./errors.js";
import type { Job } from "./job.js";
import { isPlain } from "./serialize.js";

/**
 * Start the job, do its work, and say how that ended. Gives what the work gives, and throws what it throws; if the board
 * said that it is to stop, what `stopsWith` makes of that.
 */
export async function work<T>(
  job: Job,
  does: (job: Job) => T | Promise<T>,
  stopsWith: (stop: JobStopped) => unknown = (stop) => stop,
): Promise<T> {
  try {
    await job.start();
  } catch (error) {
    throw error instanceof JobStopped ? stopsWith(error) : error;
  }
  let returned: T;
  try {
    returned = await does(job);
  } catch (thrown) {
    const stop = stopIn(job, thrown);
    try {
      await (stop ? job.stopped() : job.fail(thrown));
    } catch (error) {
      // What the work itself threw is not to be hidden, also when the client is strict.
      if (!(error instanceof CallboardError)) throw error;
    }
    throw stop ? stopsWith(stop) : thrown;
  }
  if (job.result === null && isPlain(returned)) job.result = returned;
  await job.complete();
  return returned;
}

/** The stop of the job, if that is what ended the work: thrown by the job or by a verb, or by what its signal aborted. */
function stopIn(job: Job, thrown: unknown): JobStopped | null {
  if (thrown instanceof JobStopped && (thrown === job.stop || thrown.job.id === job.id)) return thrown;
  const named = thrown as { name?: unknown; cause?: unknown } | null | undefined;
  return job.stop !== null && (named?.cause === job.stop || named?.name === "AbortError") ? job.stop : null;
}
