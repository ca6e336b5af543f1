/** The board of these tests, which the environment names, and what it has of jobs. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Callboard, type CallboardOptions } from "@callboard/client";

/** Return a variable of the environment. */
export function getVariable(name: string): string {
  const value = process.env[name];
  assert(value, `${name} names a running board; tests/clients/test_typescript.py starts one.`);
  return value;
}

/** Wait until a function returns something, for so many seconds at most, and return that. */
export async function waitFor<T>(look: () => T | Promise<T>, seconds = 20): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value) return value;
    assert(Date.now() < deadline, `It did not happen: ${look}`);
    await sleep(15);
  }
}

/** Create a client that keeps its warnings and the requests it makes, like `PATCH /jobs/…`. */
export function createClient(options: CallboardOptions = {}) {
  const requests: string[] = [];
  const warnings: string[] = [];
  const board = new Callboard({
    interval: 0.05,
    warn: (message) => warnings.push(message),
    fetch: (url, init) => {
      requests.push(`${init?.method} ${String(url).split("/api/v1")[1]}`);
      return fetch(url, init);
    },
    ...options,
  });
  return { board, requests, warnings };
}

async function getJson(path: string): Promise<unknown> {
  const headers = { Authorization: `Bearer ${getVariable("CALLBOARD_TOKEN")}` };
  const response = await fetch(`${getVariable("CALLBOARD_URL")}/api/v1${path}`, { headers });
  assert.equal(response.status, 200);
  return response.json();
}

/** Get what happened to a job, oldest first: its statuses, and other events by their kinds. */
export async function getHistory(id: string | null): Promise<string[]> {
  const { data } = (await getJson(`/jobs/${id}/events`)) as { data: { kind: string; to: string }[] };
  return data.map((event) => (["enqueued", "moved"].includes(event.kind) ? event.to : event.kind));
}

/** Get the lines of a job's log. */
export async function getLog(id: string | null): Promise<string[]> {
  const { data } = (await getJson(`/jobs/${id}/logs`)) as { data: { text: string }[] };
  return data.map((line) => line.text);
}

/** List the jobs of a type, newest first. */
export async function listJobs(type: string): Promise<{ id: string; status: string }[]> {
  const answer = await getJson(`/jobs?type=${encodeURIComponent(type)}`);
  return (answer as { data: { id: string; status: string }[] }).data;
}
