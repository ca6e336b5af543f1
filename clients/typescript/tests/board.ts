/** The board of these tests, as the environment names it, and what it says of jobs. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Callboard, type CallboardOptions } from "@callboard/client";

export function named(variable: string): string {
  const value = process.env[variable];
  assert(value, `${variable} names a running board; tests/clients/test_typescript.py starts one.`);
  return value;
}

/** Wait for something that happens elsewhere. */
export async function until<T>(look: () => T | Promise<T>, seconds = 20): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    assert(Date.now() < deadline, `It did not happen: ${look}`);
    await sleep(15);
  }
}

/** A client, the requests that it made, like `PATCH /jobs/…`, and what it warned of. */
export function counting(options: CallboardOptions = {}) {
  const asked: string[] = [];
  const warned: string[] = [];
  const board = new Callboard({
    interval: 0.05,
    warn: (message) => warned.push(message),
    fetch: (where, init) => {
      asked.push(`${init?.method} ${String(where).split("/api/v1")[1]}`);
      return fetch(where, init);
    },
    ...options,
  });
  return { board, asked, warned };
}

async function asks(path: string): Promise<unknown> {
  const headers = { Authorization: `Bearer ${named("CALLBOARD_TOKEN")}` };
  const answer = await fetch(`${named("CALLBOARD_URL")}/api/v1${path}`, { headers });
  assert.equal(answer.status, 200);
  return answer.json();
}

/** What happened to a job, oldest first: its statuses, and other events by their kinds. */
export async function history(id: string | null): Promise<string[]> {
  const { data } = (await asks(`/jobs/${id}/events`)) as { data: { kind: string; to: string }[] };
  return data.map((event) => (["enqueued", "moved"].includes(event.kind) ? event.to : event.kind));
}

export async function logOf(id: string | null): Promise<string[]> {
  const { data } = (await asks(`/jobs/${id}/logs`)) as { data: { text: string }[] };
  return data.map((line) => line.text);
}

/** The jobs of a type, newest first. */
export async function jobsOf(type: string): Promise<{ id: string; status: string }[]> {
  const { data } = (await asks(`/jobs?type=${encodeURIComponent(type)}`)) as { data: { id: string; status: string }[] };
  return data;
}
