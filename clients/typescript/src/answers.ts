/** What the board's answer to an entry means for its job. */

import { BoardRefused, CallboardError, JobConflict, JobNotFound, JobStopped } from "./errors.js";
import type { Entry, Outbox } from "./outbox.js";
import type { Answer } from "./requests.js";

/** Note an answer: the job's id, that it is to stop, or that the rest of a refused report is to be told again. */
export function note(entry: Entry, answer: Answer, outbox: Outbox, warn: (message: string) => void): void {
  const { subject } = entry;
  const kept = answer instanceof BoardRefused && entry.kind !== "log" ? rest(entry.body, answer) : null;
  if (kept && answer instanceof BoardRefused) {
    warn(`The board refused part of what ${named(entry)} said, which is left out: ${answer.message}`);
    outbox.again(Object.assign(entry, { body: kept, tries: 1 }));
    return;
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
    warn(`The board did not take a report of ${named(entry)}: ${answer.message}`);
    // Of a job that is not there, or has ended already, the board would take nothing else.
    if (entry.kind === "create" || answer instanceof JobNotFound || answer instanceof JobConflict) {
      subject.untold = true;
      outbox.drop(subject);
    }
  }
}

function named({ subject }: Entry): string {
  return subject.id === null ? "a new job" : `job ${subject.id}`;
}

/** The body without the fields that the board does not take; null where nothing would be left to say, or gained. */
function rest(body: object, { status, faults }: BoardRefused): object | null {
  if (status !== 413 && status !== 422) return null;
  const told = faults.map((fault) => String(fault.pointer).split("/")[1]);
  const wrong = new Set<string | undefined>(status === 413 ? ["payload", "result", "error"] : told);
  if (wrong.has("status") || wrong.has("type")) return null;
  const fields = Object.entries(body);
  const kept = fields.filter(([name]) => !wrong.has(name));
  return kept.length > 0 && kept.length < fields.length ? Object.fromEntries(kept) : null;
}
