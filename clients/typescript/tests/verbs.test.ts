/** The four verbs, against a real board. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BoardRefused,
  BoardUnreachable,
  Callboard,
  JobCanceled,
  JobConflict,
  JobNotFound,
  NotConfigured,
  Unauthorized,
} from "@callboard/client";
import { createClient, getHistory } from "./board.js";

test("the four verbs create, report on, read and cancel a job", async () => {
  const { board } = createClient();
  const job = await board.enqueueJob("report", {
    payload: { month: "2026-10" },
    tags: ["monthly"],
    maxDuration: 60,
    heartbeatTimeout: 30,
  });
  assert.deepEqual([job.status, job.payload, job.tags], ["pending", { month: "2026-10" }, ["monthly"]]);
  assert.deepEqual([job.maxDuration, job.heartbeatTimeout, job.startedAt], [60, 30, null]);
  const running = await board.updateJobStatus(job.id, { status: "running", progress: 40.9, message: "page 4 of 10" });
  assert.deepEqual([running.status, running.progress, running.message], ["running", 40, "page 4 of 10"]);
  assert(running.startedAt instanceof Date && running.startedAt >= job.createdAt);
  assert.match((await board.cancelJob(job.id)).canceledBy ?? "", /^token:/);
  await assert.rejects(board.updateJobStatus(job.id, { progress: 50 }), (error) => {
    assert(error instanceof JobCanceled && error instanceof JobConflict);
    assert.equal(error.job.progress, 40);
    return true;
  });
  const seen = await board.getJobStatus(job.id);
  assert.deepEqual([seen.status, seen.payload], ["canceled", { month: "2026-10" }]);
  assert(seen.cancelSeenAt);
});

test("an error is sent with its stack and its causes", async () => {
  const { board } = createClient();
  const job = await board.enqueueJob("report");
  const error = new TypeError("no month", { cause: new RangeError("13") });
  const failed = await board.updateJobStatus(job.id, { status: "failed", error });
  assert.match(failed.error ?? "", /^TypeError: no month\n +at .*verbs\.test[\s\S]*Caused by: RangeError: 13\n +at /);
  assert.deepEqual(await getHistory(job.id), ["pending", "failed"]);
});

test("a refused verb throws why it was refused", async () => {
  const { board } = createClient();
  await assert.rejects(board.enqueueJob("", { maxDuration: 0 }), (error) => {
    assert(error instanceof BoardRefused);
    assert.deepEqual(error.faults.map((fault) => fault.pointer).sort(), ["/max_duration", "/type"]);
    assert.match(error.message, /\/max_duration: /);
    return error.status === 422;
  });
  await assert.rejects(board.getJobStatus("0193a000-0000-7000-8000-000000000001"), JobNotFound);
  await assert.rejects(board.getJobStatus("../jobs"), JobNotFound);
  const job = await board.enqueueJob("report");
  await assert.rejects(board.updateJobStatus(job.id, { status: "completed" }), JobConflict);
  await assert.rejects(new Callboard({ token: "cb_wrong_token" }).getJobStatus(job.id), Unauthorized);
});

test("the same key is the same job", async () => {
  const { board } = createClient();
  const key = crypto.randomUUID();
  const jobs = await Promise.all([1, 2, 3].map(() => board.enqueueJob("order", { payload: { n: 7 }, key })));
  assert.equal(new Set(jobs.map((job) => job.id)).size, 1);
  await assert.rejects(board.enqueueJob("order", { payload: { n: 8 }, key }), /idempotency|another|key/i);
});

test("without an address the verbs throw that none is configured", async () => {
  const { CALLBOARD_URL } = process.env;
  delete process.env.CALLBOARD_URL;
  try {
    await assert.rejects(new Callboard({ token: "cb_x_y" }).enqueueJob("report"), NotConfigured);
  } finally {
    process.env.CALLBOARD_URL = CALLBOARD_URL;
  }
  await assert.rejects(new Callboard({ url: "no address", token: "cb_x_y" }).getJobStatus("x"), BoardUnreachable);
});
