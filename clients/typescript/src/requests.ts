/** Entries of the outbox as requests to the board. */

import { type BoardRefused, BoardUnreachable } from "./errors.js";
import type { Entry } from "./outbox.js";
import { isWireJob, type JobRecord, toJobRecord } from "./record.js";
import { createRefusal, type Problem, type Transport } from "./transport.js";

/** Milliseconds after which a report says when it happened; before that the board's own clock is the better one. */
const LATE_AFTER = 2000;

/** The job as the board has it now, why the board refused the entry, or null where there is nothing to answer. */
export type Answer = JobRecord | BoardRefused | null;

/**
 * Send entries that make one request, and return the answer to each of them.
 * Throws as `Transport.call` does if the board took none of them.
 */
export async function sendEntries(transport: Transport, entries: readonly Entry[]): Promise<Answer[]> {
  const [first] = entries;
  if (!first) return [];
  if (entries.length > 1) return sendBatch(transport, entries);
  switch (first.kind) {
    case "create":
      return [parseJob(await transport.call("POST", "/jobs", createBody(first), first.key))];
    case "report":
      return [parseJob(await transport.call("PATCH", createPath(first.job.id), createBody(first)))];
    case "log":
      await transport.call("POST", `${createPath(first.job.id)}/logs`, { lines: createLines(first) }, first.key);
      return [null];
  }
}

/** Parse the job of an answer. Throws `BoardUnreachable` if it is none: then what answered is not a board. */
export function parseJob(answer: unknown): JobRecord {
  if (!isWireJob(answer)) throw new BoardUnreachable("What answers at the board's address is not a board.");
  return toJobRecord(answer);
}

/** Create the path of a job. */
export function createPath(id: string | null): string {
  // Because an id may come from anywhere, and is to stay one part of the path.
  return `/jobs/${encodeURIComponent(String(id))}`;
}

async function sendBatch(transport: Transport, entries: readonly Entry[]): Promise<Answer[]> {
  const reports = entries.map((entry) => ({ id: entry.job.id, ...createBody(entry) }));
  const answer = await transport.call("POST", "/jobs/batch", { data: reports });
  const { data } = answer as { data?: { job?: unknown; problem?: Problem }[] };
  if (!Array.isArray(data) || data.length !== entries.length) return [parseJob(null)];
  return data.map((item) => (item.job ? parseJob(item.job) : createRefusal(item.problem ?? {})));
}

/** Create the body of an entry. One that changes the job's status, and is late, says when it happened. */
function createBody(entry: Entry): object {
  const changesStatus = entry.kind === "create" || (entry.kind === "report" && entry.body.status !== undefined);
  const isLate = changesStatus && Date.now() - entry.at > LATE_AFTER;
  return isLate ? { ...entry.body, occurred_at: new Date(entry.at).toISOString() } : entry.body;
}

/** Create the lines of a log entry. If some were left out, a line that says so stands in place of the first. */
function createLines(entry: Entry & { kind: "log" }): object[] {
  const [first, ...rest] = entry.body.lines;
  if (!first || !entry.omittedLines) return entry.body.lines;
  return [{ text: `… ${entry.omittedLines + 1} lines left out …`, level: "warning", at: first.at }, ...rest];
}
