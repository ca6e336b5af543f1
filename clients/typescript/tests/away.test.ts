/** What happens while a board is away, busy, out of order or refuses the token. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BoardRefused, BoardUnreachable, Callboard } from "@callboard/client";
import { createClient, waitFor } from "./board.js";
import { JOB, respond, startStub } from "./stub.js";

const TOKEN = "cb_x_y";

describe("while a board is away, busy or out of order", { concurrency: 8 }, () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    test(`a verb is tried again after ${status}, with the same key`, async (t) => {
      const { url, requests } = await startStub(t, (response, _, number) =>
        respond(response, number < 1 ? status : 201),
      );
      const job = await new Callboard({ url, token: TOKEN }).enqueueJob("order");
      assert.equal(job.id, JOB.id);
      assert.equal(requests.length, 2);
      assert(requests[0]?.key && requests[0].key === requests[1]?.key);
    });
  }

  test("a verb is tried again when nobody answers", async (t) => {
    const { url, requests } = await startStub(t, (response, _, number) =>
      number < 2 ? response.destroy() : respond(response, 200),
    );
    await new Callboard({ url, token: TOKEN }).getJobStatus(JOB.id);
    assert.equal(requests.length, 3);
  });

  test("a verb is not tried again when it is refused or redirected", async (t) => {
    const problem = { status: 422, code: "invalid", title: "no", detail: "no", errors: [] };
    const { url, requests } = await startStub(t, (response, { method }) =>
      method === "GET" ? respond(response, 302, {}, { Location: "/" }) : respond(response, 422, problem),
    );
    const board = new Callboard({ url: `${url}/`, token: TOKEN });
    await assert.rejects(board.cancelJob(JOB.id), BoardRefused);
    assert.equal(requests.length, 1);
    await assert.rejects(board.getJobStatus(JOB.id), BoardUnreachable);
    assert.equal(requests.at(-1)?.path, `/api/v1/jobs/${JOB.id}`);
  });

  test("a verb waits as long as the board asks for, but not for very long", async (t) => {
    const { url, requests } = await startStub(t, (response, _, number) =>
      respond(response, number < 1 ? 503 : 200, JOB, { "Retry-After": "2" }),
    );
    const board = new Callboard({ url, token: TOKEN });
    await board.getJobStatus(JOB.id);
    assert((requests[1]?.at ?? 0) - (requests[0]?.at ?? 0) >= 1990);
    const later = await startStub(t, (response) =>
      respond(response, 429, {}, { "Retry-After": new Date(Date.now() + 60_000).toUTCString() }),
    );
    await assert.rejects(new Callboard({ url: later.url, token: TOKEN }).getJobStatus(JOB.id), (error) => {
      // To wait for so long is the caller's to decide.
      assert(error instanceof BoardUnreachable && error.status === 429 && (error.retryAfter ?? 0) > 50);
      return later.requests.length === 1;
    });
  });

  test("whatever else answers at a board's address is no board", async (t) => {
    const { url } = await startStub(t, (response, _, number) =>
      number % 2 ? respond(response, 200, { data: [] }) : response.end("<html>"),
    );
    await assert.rejects(new Callboard({ url, token: TOKEN }).getJobStatus(JOB.id), BoardUnreachable);
  });

  test("only the first job waits for a board that is away", async (t) => {
    const { url } = await startStub(t, (response) => respond(response, 503));
    const { board, warnings } = createClient({ url, token: TOKEN });
    assert.equal(await board.withJob("first", () => "done"), "done");
    const startedAt = performance.now();
    for (let number = 0; number < 50; number += 1) await board.withJob("next", (job) => job.progress(10));
    assert(performance.now() - startedAt < 1000);
    assert.equal(warnings.filter((line) => line.includes("cannot be sent")).length, 1);
  });

  test("a board that never answers costs the first job seconds, and the next none", async (t) => {
    const { url } = await startStub(t, () => undefined);
    const { board } = createClient({ url, token: TOKEN });
    const startedAt = performance.now();
    await board.withJob("first", () => undefined);
    const first = performance.now();
    assert(first - startedAt < 7500, `${first - startedAt} ms`);
    await board.withJob("next", () => undefined);
    assert(performance.now() - first < 500);
  });

  test("a fetch that never ends and ignores its signal costs one request alone", async (t) => {
    const { url, requests } = await startStub(t, (response) => respond(response, 200));
    let calls = 0;
    const hangOnce: typeof fetch = (input, init) => (calls++ === 0 ? new Promise(() => undefined) : fetch(input, init));
    const { board } = createClient({ url, token: TOKEN, timeout: 0.5, fetch: hangOnce });
    await board.withJob("first", () => undefined);
    assert(await board.flush(20));
    assert.equal(requests.at(-1)?.body?.status, "completed");
  });

  test("a refused token costs a job no time, and is warned of once", async () => {
    const { board, warnings, requests } = createClient({ token: "cb_wrong_token" });
    const startedAt = performance.now();
    for (let number = 0; number < 3; number += 1) {
      await board.withJob("report", (job) => {
        job.progress(10);
        assert.equal(job.id, null);
      });
    }
    assert(performance.now() - startedAt < 2000);
    assert.equal(warnings.length, 1);
    assert.equal(requests.length, 1);
  });

  test("a strict job throws when the board is away, but first what the work throws", async (t) => {
    const gone = await startStub(t, (response) => respond(response, 503));
    const { board } = createClient({ url: gone.url, token: TOKEN, strict: true });
    await assert.rejects(
      board.withJob("first", () => assert.fail("It ran.")),
      BoardUnreachable,
    );
    const later = await startStub(t, (response, { body }) => respond(response, body?.status === "failed" ? 503 : 200));
    const second = createClient({ url: later.url, token: TOKEN, strict: true });
    await assert.rejects(
      second.board.withJob("second", () => Promise.reject(new RangeError("its own"))),
      RangeError,
    );
  });

  test("a job over the limit of a day is reported without what is over it", async (t) => {
    const problem = {
      status: 429,
      code: "daily_limit",
      title: "Too Many Requests",
      detail: "no more today",
      errors: [],
    };
    const { url, requests } = await startStub(t, (response, { path, body }) =>
      body?.payload || path.endsWith("/logs")
        ? respond(response, 429, problem, { "Retry-After": "600" })
        : respond(response, 200),
    );
    const { board, warnings } = createClient({ url, token: TOKEN });
    await board.withJob("import", { payload: { file: "a.csv" } }, (job) => job.log("reading"));
    assert(await board.flush(20));
    assert.equal(requests.filter(({ path }) => path.endsWith("/logs")).length, 1);
    assert.equal(requests.at(-1)?.body?.status, "completed");
    assert.equal(warnings.filter((line) => line.includes("no more today")).length, 2);
  });

  test("a report that the board cannot digest is left out, and the next one is sent", async (t) => {
    const isBad = (body: object | null) => JSON.stringify(body).includes("bad");
    const { url, requests } = await startStub(t, (response, { body }) =>
      respond(response, isBad(body) ? 500 : 200, { ...JOB, code: "internal" }),
    );
    const { board, warnings } = createClient({ url, token: TOKEN });
    await board.withJob("odd", async (job) => {
      job.progress(10, "bad");
      await waitFor(() => requests.some(({ body }) => isBad(body)));
    });
    assert(await board.flush(20));
    assert.equal(requests.filter(({ body }) => isBad(body)).length, 5);
    assert.equal(requests.at(-1)?.body?.status, "completed");
    assert.match(warnings.join(), /left out/);
  });

  test("a silent job among chatty ones gives its signs of life", async (t) => {
    const { url, requests } = await startStub(t, (response, { path, body }) => {
      const answers = ((body?.data as object[] | undefined) ?? []).map(() => ({ status: 200, job: JOB }));
      const id = body?.type === "silent" ? "silent" : "chatty";
      respond(
        response,
        200,
        path.endsWith("/batch") ? { data: answers } : { ...JOB, id: path === "/api/v1/jobs" ? id : path.split("/")[4] },
      );
    });
    const { board } = createClient({ url, token: TOKEN });
    let ended = false;
    const silent = board.withJob("silent", { heartbeatTimeout: 1 }, async () => {
      const before = requests.length;
      const isOfSilentJob = (one: (typeof requests)[number]) =>
        one.path.endsWith("/silent") || JSON.stringify(one.body).includes('"silent"');
      await waitFor(() => requests.slice(before).filter(isOfSilentJob).length >= 3);
    });
    const end = () => (ended = true);
    silent.then(end, end);
    await board.withJob("chatty", async (job) => {
      for (let row = 0; !ended; row += 1) {
        job.progress(row % 100);
        await sleep(5);
      }
    });
    await silent;
  });
});

test("without an address the work runs, with one warning", async () => {
  const { CALLBOARD_URL } = process.env;
  delete process.env.CALLBOARD_URL;
  const { board, warnings, requests } = createClient({ token: TOKEN });
  try {
    for (let number = 0; number < 2; number += 1) {
      const returned = await board.withJob("report", (job) => {
        job.progress(10);
        job.log("line");
        return job.id;
      });
      assert.equal(returned, null);
    }
    assert.deepEqual([warnings.length, requests.length, await board.flush()], [1, 0, true]);
    assert.match(warnings.join(), /CALLBOARD_URL is not set/);
  } finally {
    process.env.CALLBOARD_URL = CALLBOARD_URL;
  }
});

test("when too much waits, new jobs are left out and the work goes on", async (t) => {
  const { url } = await startStub(t, (response) => respond(response, 503));
  const { board, warnings } = createClient({ url, token: TOKEN });
  for (let number = 0; number < 4000; number += 1) await board.withJob("next", () => undefined);
  assert(warnings.some((line) => line.includes("too much waits")));
});
