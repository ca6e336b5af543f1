/** The examples, run with the real SDKs as far as they go without their cloud. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { InngestTestEngine } from "@inngest/test";
import { resourceCatalog } from "@trigger.dev/core/v3";
import { runInMockTaskContext } from "@trigger.dev/core/v3/test";
import { TriggerTracer } from "@trigger.dev/core/v3/tracer";
import { StandardResourceCatalog, TaskExecutor } from "@trigger.dev/core/v3/workers";
import { NextRequest } from "next/server.js";
import { createClient, getHistory, listJobs, waitFor } from "./board.js";

const { board } = createClient();

/** Get the newest job of the examples' type, which no other file of tests uses. */
async function getNewestJob() {
  const [job] = await listJobs("generate-report");
  assert(job);
  return board.getJobStatus(job.id);
}

/** Return a function that waits for the next job to begin, and returns its id. */
async function watchJobs(): Promise<() => Promise<string>> {
  const before = (await listJobs("generate-report"))[0]?.id;
  const isNew = (job: { id: string; status: string } | undefined) =>
    job && job.id !== before && job.status === "running";
  return () =>
    waitFor(async () => {
      const [job] = await listJobs("generate-report");
      return isNew(job) ? job?.id : undefined;
    });
}

test("the run of a Trigger.dev task is a job", async () => {
  const catalog = new StandardResourceCatalog();
  resourceCatalog.setGlobalResourceCatalog(catalog);
  resourceCatalog.setCurrentFileContext("examples/trigger-task.ts", "trigger-task");
  await import("../examples/trigger-task.js");
  const task = catalog.getTask("generate-report");
  assert(task);
  const ctx = { run: { id: `run_${crypto.randomUUID()}` } };
  const output = await runInMockTaskContext(
    ({ ctx }) => task.fns.run({ month: "2026-10" }, { ctx, signal: new AbortController().signal }),
    { ctx },
  );
  assert.deepEqual(output, { pages: 10 });
  const job = await getNewestJob();
  assert.deepEqual([job.status, job.result, job.payload], ["completed", { pages: 10 }, { month: "2026-10" }]);
  // Both end it after the same time.
  assert.deepEqual([job.maxDuration, job.maxDuration], [300, task.maxDuration]);
});

test("a Trigger.dev task whose job was canceled is not tried again", async () => {
  const task = (resourceCatalog as unknown as StandardResourceCatalog).getTask("generate-report");
  assert(task);
  const executor = new TaskExecutor(
    { ...task, retry: { maxAttempts: 3 } },
    {
      tracer: new TriggerTracer({ name: "test", version: "1" }),
      tracingSDK: {} as never,
      consoleInterceptor: { intercept: (_: unknown, call: () => unknown) => call() } as never,
    },
  );
  const waitForNextJob = await watchJobs();
  const done = runInMockTaskContext(
    async ({ ctx }) => {
      const run = { id: ctx.run.id, payload: '{"month":"2026-10"}', payloadType: "application/json" };
      const execution = { run, attempt: { number: 1 }, environment: { type: "PRODUCTION" } };
      return executor.execute(execution as never, ctx as never, new AbortController().signal);
    },
    { ctx: { run: { id: `run_${crypto.randomUUID()}` } } },
  );
  await board.cancelJob(await waitForNextJob());
  const { result } = await done;
  assert(!result.ok);
  assert.deepEqual([result.retry, result.skippedRetrying], [undefined, true]);
  assert((await getNewestJob()).cancelConfirmedAt);
});

/** Inngest's test engine; the result of one execution of it holds more than that of its `execute`. */
class Engine extends InngestTestEngine {
  executeOnce() {
    return this.individualExecution();
  }
}

async function createEngine(): Promise<Engine> {
  const { generateReport } = await import("../examples/inngest-function.js");
  return new Engine({
    function: generateReport,
    events: [{ name: "shop/month.ended", data: { month: "2026-09" } }],
    transformCtx: (ctx) => ({ ...ctx, runId: crypto.randomUUID(), attempt: 0 }),
  });
}

test("an Inngest step whose job was canceled is not tried again", async () => {
  const waitForNextJob = await watchJobs();
  const done = (await createEngine()).executeOnce();
  await board.cancelJob(await waitForNextJob());
  const { result } = await done;
  assert.deepEqual([result.type, "retriable" in result && result.retriable], ["step-ran", false]);
  assert((await getNewestJob()).cancelConfirmedAt);
});

test("the step of an Inngest function is a job", async () => {
  const { result } = await (await createEngine()).execute();
  assert.deepEqual(result, { pages: 10 });
  const job = await getNewestJob();
  assert.deepEqual([job.status, job.result, job.payload], ["completed", { pages: 10 }, { month: "2026-09" }]);
  assert.deepEqual(await getHistory(job.id), ["pending", "running", "completed"]);
});

test("the work of a Next.js route handler is a job", async () => {
  const { POST, maxDuration } = await import("../examples/nextjs-route.js");
  const request = () =>
    new NextRequest("http://127.0.0.1/reports", { method: "POST", body: JSON.stringify({ month: "2026-08" }) });
  const answer = await POST(request());
  assert.deepEqual([answer.status, await answer.json()], [200, { pages: 10 }]);
  const job = await getNewestJob();
  assert.deepEqual([job.status, job.payload, job.maxDuration], ["completed", { month: "2026-08" }, maxDuration]);
});

test("a cancel of a route handler's job is its answer", async () => {
  const { POST } = await import("../examples/nextjs-route.js");
  // On a slow machine the work may be over before its cancel reaches it; then the next one does.
  const canceled = await waitFor(async () => {
    const waitForNextJob = await watchJobs();
    const answer = POST(new NextRequest("http://127.0.0.1/reports", { method: "POST", body: '{"month": "2026-07"}' }));
    await board.cancelJob(await waitForNextJob());
    return (await answer).status === 409;
  });
  assert(canceled);
  assert((await getNewestJob()).cancelConfirmedAt);
});
