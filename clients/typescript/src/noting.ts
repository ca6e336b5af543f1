/** What the board's answer to an entry means for its job. */

import { BoardRefused, CallboardError, JobConflict, JobNotFound, JobStopped } from "./errors.js";
import type { Entry, Outbox } from "./outbox.js";
import type { WireReport } from "./record.js";
import type { Answer } from "./telling.js";

/** Note an answer: the job's id, that it is to stop, or that the rest of a refused report is to be told again. */
export function note(entry: Entry, answer: Answer, outbox: Outbox, warn: (message: string) => void): void {
  const { subject } = entry;
  if (answer instanceof BoardRefused && !(answer instanceof JobConflict)) {
    const kept = entry.kind === "report" && [413, 422].includes(answer.status) ? essence(entry.body) : null;
    if (kept && entry.kind === "report") {
      warn(`The board refused part of what job ${subject.id} said, which is left out: ${answer.message}`);
      entry.body = kept;
      entry.tries = 1;
      outbox.again(entry);
      return;
    }
  }
  entry.outcome = answer;
  entry.answered = true;
  if (answer === null) return;
  if (!(answer instanceof CallboardError)) {
    subject.id ??= answer.id;
  } else if (answer instanceof JobStopped) {
    if (subject.stop !== null) return;
    subject.stop = answer;
    subject.onStop(answer);
  } else {
    warn(`The board did not take a report of job ${subject.id ?? "that is new"}: ${answer.message}`);
    if (entry.kind === "create" || answer instanceof JobNotFound) {
      subject.untold = true;
      outbox.drop(subject);
    }
  }
}

/** What the board cannot refuse of a report that moves a job; null if that is nothing, or all of it. */
function essence({ result, link, runner, ...kept }: WireReport): WireReport | null {
  const dropped = result !== undefined || link !== undefined || runner !== undefined;
  return kept.status !== undefined && dropped ? kept : null;
}
