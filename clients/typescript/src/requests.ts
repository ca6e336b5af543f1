/** Entries of the outbox as requests, and what the board says to each of them. */

import { type BoardRefused, BoardUnreachable } from "./errors.js";
import type { Entry } from "./outbox.js";
import { fromWire, isWireJob, type JobRecord } from "./record.js";
import { createRefusal, type Problem, type Transport } from "./transport.js";

/** Milliseconds after which a report tells when it happened; before that the board's own clock is the better one. */
const LATE = 2000;

/** The job as the board has it now, why it refused the entry, or null where it has nothing to say. */
export type Answer = JobRecord | BoardRefused | null;

/** Tell the board these entries, which make one request. Throws as `Transport.call` does, if none of them was createRefusal. */
export async function told(transport: Transport, entries: readonly Entry[]): Promise<Answer[]> {
  const [first] = entries;
  if (!first) return [];
  if (entries.length > 1) return batch(transport, entries);
  switch (first.kind) {
    case "create":
      return [record(await transport.call("POST", "/jobs", dated(first), first.key))];
    case "report":
      return [record(await transport.call("PATCH", pathOf(first), dated(first)))];
    case "log":
      await transport.call("POST", `${pathOf(first)}/logs`, { lines: linesOf(first) }, first.key);
      return [null];
  }
}

/** The job of an answer. Throws `BoardUnreachable` if it is none: then a board is not what answered. */
export function record(answer: unknown): JobRecord {
  if (!isWireJob(answer)) throw new BoardUnreachable("What answers at the board's address is not a board.");
  return fromWire(answer);
}

async function batch(transport: Transport, entries: readonly Entry[]): Promise<Answer[]> {
  const reports = entries.map((entry) => ({ id: entry.subject.id, ...dated(entry) }));
  const answer = await transport.call("POST", "/jobs/batch", { data: reports });
  const { data } = answer as { data?: { job?: unknown; problem?: Problem }[] };
  if (!Array.isArray(data) || data.length !== entries.length) return [record(null)];
  return data.map((each) => (each.job ? record(each.job) : createRefusal(each.problem ?? {})));
}

/** The body with the moment it tells of, if that is long gone. Only what moves a job has one. */
function dated(entry: Entry): object {
  const tellsAMove = entry.kind === "create" || (entry.kind === "report" && entry.body.status !== undefined);
  const late = tellsAMove && Date.now() - entry.at > LATE;
  return late ? { ...entry.body, occurred_at: new Date(entry.at).toISOString() } : entry.body;
}

function linesOf(entry: Entry & { kind: "log" }): object[] {
  const [first, ...rest] = entry.body.lines;
  if (!first || !entry.leftOut) return entry.body.lines;
  return [{ text: `… ${entry.leftOut + 1} lines left out …`, level: "warning", at: first.at }, ...rest];
}

/** An id may come from anywhere; it stays one part of the path. */
function pathOf(entry: Entry): string {
  return `/jobs/${encodeURIComponent(String(entry.subject.id))}`;
}
