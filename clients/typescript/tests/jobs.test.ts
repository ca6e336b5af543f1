/** Jobs that report by themselves, against a real board. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BoardRefused, type Job, JobCanceled } from "@callboard/client";
import { createClient, getHistory, getLog, listJobs, waitFor } from "./board.js";

test("the work is a job from its start to its end", async () => {
  const { board } = createClient({ runner: "worker-1" });
  let id = "";
  const options = { payload: { month: "2026-10" }, tags: ["monthly"], maxDuration: 300, key: crypto.randomUUID() };
  const returned = await board.withJob("report", options, async (job) => {
    id = job.id ?? "";
    job.progress(40, "page 4 of 10");
    job.log("first line\nsecond line");
    await waitFor(async () => (await board.getJobStatus(id)).progress === 40);
    assert.equal((await board.getJobStatus(id)).message, "page 4 of 10");
    return { pages: 10 };
  });
  assert.deepEqual(returned, { pages: 10 });
  const record = await board.getJobStatus(id);
  assert.deepEqual([record.status, record.progress, record.result], ["completed", 100, { pages: 10 }]);
  assert.deepEqual([record.payload, record.tags, record.runner], [{ month: "2026-10" }, ["monthly"], "worker-1"]);
  assert.deepEqual([record.maxDuration, record.heartbeatTimeout], [300, 60]);
  assert.deepEqual(await getHistory(id), ["pending", "running", "completed"]);
  assert(await board.flush());
  assert.deepEqual(await getLog(id), ["first line", "second line"]);
});

test("what is thrown fails the job with its stack, and goes on", async () => {
  const { board } = createClient();
  let id = "";
  const thrown = new RangeError("no month 13");
  const work = board.withJob("report", (job) => {
    id = job.id ?? "";
    throw thrown;
  });
  await assert.rejects(work, (error) => error === thrown);
  const record = await board.getJobStatus(id);
  assert.deepEqual([record.status, record.failureReason], ["failed", "error"]);
  assert.match(record.error ?? "", /^RangeError: no month 13\n +at .*jobs\.test/);
});

test("a job that was enqueued elsewhere is done here", async () => {
  const { board } = createClient();
  const { id } = await board.enqueueJob("report", { heartbeatTimeout: 3 });
  const returned = await board.withJob({ id, heartbeatTimeout: 3 }, (job) => {
    assert.equal(job.id, id);
    job.update({ result: { pages: 1 }, link: "https://example.com/log" });
    return [1, 2];
  });
  assert.deepEqual(returned, [1, 2]);
  const record = await board.getJobStatus(id);
  assert.deepEqual([record.status, record.result, record.link], ["completed", { pages: 1 }, "https://example.com/log"]);
});

test("a cancel stops the work at its next report, and the board shows that it stopped", async () => {
  const { board } = createClient();
  let job: Job | undefined;
  let rows = 0;
  const work = board.withJob("import", async (current) => {
    job = current;
    await board.cancelJob(current.id ?? "");
    for (; rows < 10_000; rows += 1) {
      current.progress(rows / 100);
      await sleep(5);
    }
  });
  await assert.rejects(work, JobCanceled);
  assert(rows < 10_000 && job?.id);
  assert.equal(job.signal.reason, job.stopReason);
  const record = await board.getJobStatus(job.id);
  assert.equal(record.status, "canceled");
  assert(record.cancelSeenAt && record.cancelConfirmedAt);
});

test("the signal of silent work aborts on a cancel, after a heartbeat", async () => {
  const { board } = createClient();
  let id = "";
  const startedAt = Date.now();
  // The timer throws an AbortError of its own.
  const work = board.withJob("silent", { heartbeatTimeout: 1 }, async (job) => {
    id = job.id ?? "";
    await board.cancelJob(id);
    await sleep(30_000, null, { signal: job.signal });
  });
  await assert.rejects(work, JobCanceled);
  assert(Date.now() - startedAt < 15_000);
  const record = await board.getJobStatus(id);
  assert(record.cancelConfirmedAt && record.progress === 0);
});

test("the board shows that work which went on after a cancel finished anyway", async () => {
  const { board } = createClient();
  let id = "";
  const returned = await board.withJob("stubborn", { heartbeatTimeout: 1 }, async (job) => {
    id = job.id ?? "";
    await board.cancelJob(id);
    await waitFor(() => job.signal.aborted);
    assert.throws(() => job.throwIfStopped(), JobCanceled);
    return { done: true };
  });
  assert.deepEqual(returned, { done: true });
  assert.equal((await getHistory(id)).at(-1), "refused");
  assert.equal((await board.getJobStatus(id)).cancelConfirmedAt, null);
});

test("a cancel that a verb throws inside of the work counts as well", async () => {
  const { board } = createClient();
  let id = "";
  const work = board.withJob("import", async (job) => {
    id = job.id ?? "";
    await board.cancelJob(id);
    await board.updateJobStatus(id, { progress: 10 });
  });
  await assert.rejects(work, JobCanceled);
  assert((await board.getJobStatus(id)).cancelConfirmedAt);
});

test("a job that was canceled before its turn does not run", async () => {
  const { board } = createClient();
  const { id } = await board.enqueueJob("import");
  await board.cancelJob(id);
  await assert.rejects(
    board.withJob({ id }, () => assert.fail("It ran.")),
    JobCanceled,
  );
  assert((await board.getJobStatus(id)).cancelConfirmedAt);
});

test("10,000 calls are a few dozen requests, and the last one counts", async () => {
  const { board, requests } = createClient({ interval: undefined });
  let id = "";
  const startedAt = Date.now();
  await board.withJob("loop", async (job) => {
    id = job.id ?? "";
    for (let row = 0; row < 10_000; row += 1) {
      job.progress(row / 200, `row ${row}`);
      if (row % 100 === 0) await sleep(20);
    }
    await waitFor(async () => (await board.getJobStatus(id)).message === "row 9999");
    assert.equal((await board.getJobStatus(id)).progress, 49);
  });
  const reports = requests.filter((request) => request.startsWith("PATCH"));
  assert(reports.length <= 4 + (Date.now() - startedAt) / 500, `${reports.length} reports`);
  assert.equal((await board.getJobStatus(id)).message, "row 9999");
});

test("jobs at once share requests", async () => {
  const { board, requests } = createClient({ interval: undefined });
  const type = `part-${crypto.randomUUID()}`;
  const startedAt = Date.now();
  const parts = Array.from({ length: 20 }, (_, number) =>
    board.withJob(type, async (job) => {
      for (let percent = 0; percent < 100; percent += 1) {
        job.progress(percent, `${number} at ${percent}`);
        await sleep(5);
      }
    }),
  );
  await Promise.all(parts);
  assert.deepEqual(
    (await listJobs(type)).map((job) => job.status),
    Array(20).fill("completed"),
  );
  // 20 creations, and of 2,000 reports, 20 starts and 20 ends a few batches.
  assert(requests.length < 20 + 45 + (Date.now() - startedAt) / 500, `${requests.length} requests`);
});

test("a result that the board refuses does not cost the end", async () => {
  const { board, warnings } = createClient();
  let id = "";
  await board.withJob("large", (job) => {
    id = job.id ?? "";
    return { text: "x".repeat(300_000) };
  });
  assert(await board.flush());
  const record = await board.getJobStatus(id);
  assert.deepEqual([record.status, record.result], ["completed", null]);
  assert.match(warnings.join(), /\/result/);
});

test("a refused payload does not cost the job, nor a refused link its report", async () => {
  const { board, warnings } = createClient({ interval: 0.3, runner: `${"r".repeat(199)}\u{1f4c4}` });
  let id = "";
  await board.withJob("large", { payload: { text: "x".repeat(300_000) }, link: "no address" }, async (job) => {
    id = job.id ?? "";
    job.update({ link: "no address" });
    job.progress(40, "page 4");
    await waitFor(async () => (await board.getJobStatus(id)).message === "page 4");
  });
  const record = await board.getJobStatus(id);
  assert.deepEqual(
    [record.status, record.payload, record.link, record.runner],
    ["completed", null, null, `${"r".repeat(199)}\ufffd`],
  );
  assert.match(warnings.join(), /\/payload[\s\S]*\/link/);
});

test("a key that no header can hold names its job all the same", async () => {
  const { board } = createClient();
  for (const key of [`\u6708\u6b21-${crypto.randomUUID()}`, "k".repeat(300), "a\nb", ""]) {
    const type = `key-${crypto.randomUUID()}`;
    const { id } = await board.enqueueJob(type, { key: key + type, heartbeatTimeout: 60 });
    await board.withJob(type, { key: key + type }, (job) => assert.equal(job.id, id));
    assert.deepEqual(await listJobs(type).then((jobs) => jobs.map((job) => job.status)), ["completed"]);
  }
});

test("work under a key whose job has ended runs, with one warning", async () => {
  const { board, warnings } = createClient();
  const key = crypto.randomUUID();
  await board.withJob("again", { key }, () => undefined);
  const returned = await board.withJob("again", { key }, async (job) => {
    for (let percent = 0; percent < 100; percent += 1) {
      job.progress(percent);
      await sleep(5);
    }
    return "done";
  });
  assert.deepEqual([returned, warnings.length], ["done", 1]);
});

test("an object in very many places, and bytes, are sent in a moment", async () => {
  const { board } = createClient();
  let shared: object = { n: 1 };
  for (let level = 0; level < 40; level += 1) shared = { left: shared, right: shared };
  const startedAt = Date.now();
  const returned = await board.withJob("shared", (job) => {
    job.result = { shared };
    return 1;
  });
  assert.equal(returned, 1);
  const { id } = await board.enqueueJob("bytes", { payload: { file: Buffer.alloc(5_000_000) } });
  assert(Date.now() - startedAt < 5000, `${Date.now() - startedAt} ms`);
  assert.deepEqual((await board.getJobStatus(id)).payload, { file: "<Buffer>" });
});

test("of a burst of long lines the last are sent, and how many were left out", async () => {
  const { board } = createClient();
  let id = "";
  await board.withJob("lines", (job) => {
    id = job.id ?? "";
    for (let number = 0; number < 400; number += 1) job.log(`${number} ${"\u{1f4c4}".repeat(2500)}`);
  });
  assert(await board.flush());
  const lines = await getLog(id);
  assert.match(lines.at(-1) ?? "", /^399 (\u{1f4c4}){1998}$/u);
  assert.match(lines[0] ?? "", /^… \d+ lines left out …$/);
  assert.equal(Number.parseInt(lines[0]?.slice(2) ?? "", 10) + lines.length - 1, 400);
});

test("whatever a payload holds becomes JSON", async () => {
  const { board } = createClient();
  class Customer {
    readonly name = "Ada";
    readonly self = this;
  }
  const payload = {
    day: new Date(Date.UTC(2026, 10, 24)),
    big: 2n ** 80n,
    none: Number.NaN,
    zero: "a\0b",
    half: "\ud800",
    left: undefined,
    does: () => 1,
    customer: new Customer(),
    names: new Map([["a", new Set([1])]]),
  };
  const { id } = await board.enqueueJob("odd", { payload });
  const { payload: received } = await board.getJobStatus(id);
  assert.deepEqual(received, {
    day: "2026-11-24T00:00:00.000Z",
    big: String(2n ** 80n),
    none: "NaN",
    zero: "a\ufffdb",
    half: "\ufffd",
    customer: { name: "Ada", self: "<Customer>" },
    names: { a: [1] },
  });
});

test("a strict job throws what is else only a warning", async () => {
  const strict = createClient({ strict: true });
  await assert.rejects(
    strict.board.withJob("", () => assert.fail("It ran.")),
    BoardRefused,
  );
  const lenient = createClient();
  assert.equal(await lenient.board.withJob("", () => "done"), "done");
  assert.match(lenient.warnings.join(), /\/type/);
});
