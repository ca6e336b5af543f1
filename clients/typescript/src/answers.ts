/** What the board's answer to an entry means for its job. */

import { BoardRefused, CallboardError, JobConflict, JobNotFound, JobStopped } from "./errors.js";
import type { Entry, Outbox } from "./outbox.js";
import type { Answer } from "./requests.js";
import { DAILY_LIMIT } from "./transport.js";

/** Settle an entry by its answer: the job gets its id, or is to stop, or the rest of a refused report is sent again. */
export function applyAnswer(entry: Entry, answer: Answer, outbox: Outbox, warn: (message: string) => void): void {
  const { job } = entry;
  const accepted = answer instanceof BoardRefused && entry.kind !== "log" ? omitRefused(entry.body, answer) : null;
  if (accepted && answer instanceof BoardRefused) {
    warn(`The board refused part of a report of ${describeJob(entry)}, which is left out: ${answer.message}`);
    outbox.putBack(Object.assign(entry, { body: accepted, failures: 1 }));
    return;
  }
  entry.outcome = answer;
  entry.settled = true;
  if (answer === null) return;
  if (!(answer instanceof CallboardError)) {
    job.id ??= answer.id;
  } else if (answer instanceof JobStopped) {
    if (job.stopReason !== null) return;
    job.stopReason = answer;
    job.onStop(answer);
  } else {
    warn(`The board did not take a report of ${describeJob(entry)}: ${answer.message}`);
    // Of a job that is not there, or has ended already, the board would take nothing else.
    if (entry.kind === "create" || answer instanceof JobNotFound || answer instanceof JobConflict) {
      job.dropped = true;
      outbox.drop(job);
    }
  }
}

function describeJob({ job }: Entry): string {
  return job.id === null ? "a new job" : `job ${job.id}`;
}

/** Return the body without the fields that the board refused; null if nothing would be left, or nothing be gained. */
function omitRefused(body: object, { status, code, faults }: BoardRefused): object | null {
  const isTooMuch = status === 413 || code === DAILY_LIMIT;
  if (!isTooMuch && status !== 422) return null;
  const names = faults.map((fault) => String(fault.pointer).split("/")[1]);
  const refused = new Set<string | undefined>(isTooMuch ? ["payload", "result", "error"] : names);
  if (refused.has("status") || refused.has("type")) return null;
  const fields = Object.entries(body);
  const accepted = fields.filter(([name]) => !refused.has(name));
  return accepted.length > 0 && accepted.length < fields.length ? Object.fromEntries(accepted) : null;
}
