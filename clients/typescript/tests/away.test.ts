/** What happens while a board is away, busy, out of order or refuses the token. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BoardRefused, BoardUnreachable, Callboard } from "@callboard/client";
import { counting, until } from "./board.js";
import { JOB, says, stub } from "./stub.js";

const TOKEN = "cb_x_y";

describe("while a board is not what it should be", { concurrency: 8 }, () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    test(`a verb is tried again after ${status}, with the same key`, async (t) => {
      const { url, asked } = await stub(t, (to, _, number) => says(to, number < 1 ? status : 201));
      const job = await new Callboard({ url, token: TOKEN }).enqueueJob("order");
      assert.equal(job.id, JOB.id);
      assert.equal(asked.length, 2);
      assert(asked[0]?.key && asked[0].key === asked[1]?.key);
    });
  }

  test("a verb is tried again when nobody answers", async (t) => {
    const { url, asked } = await stub(t, (to, _, number) => (number < 2 ? to.destroy() : says(to, 200)));
    await new Callboard({ url, token: TOKEN }).getJobStatus(JOB.id);
    assert.equal(asked.length, 3);
  });

  test("a verb is not tried again when it is refused, or sent elsewhere for ever", async (t) => {
    const problem = { status: 422, code: "invalid", title: "no", detail: "no", errors: [] };
    const { url, asked } = await stub(t, (to, one) =>
      one.method === "GET" ? says(to, 302, {}, { Location: "/" }) : says(to, 422, problem),
    );
    const board = new Callboard({ url: `${url}/`, token: TOKEN });
    await assert.rejects(board.cancelJob(JOB.id), BoardRefused);
    assert.equal(asked.length, 1);
    await assert.rejects(board.getJobStatus(JOB.id), BoardUnreachable);
    assert.equal(asked.at(-1)?.path, `/api/v1/jobs/${JOB.id}`);
  });

  test("the board says when it wants to be asked again", async (t) => {
    const { url, asked } = await stub(t, (to, _, number) =>
      says(to, number < 1 ? 503 : 200, JOB, { "Retry-After": "2" }),
    );
    const board = new Callboard({ url, token: TOKEN });
    await board.getJobStatus(JOB.id);
    assert((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0) >= 1990);
    const later = await stub(t, (to) =>
      says(to, 429, {}, { "Retry-After": new Date(Date.now() + 60_000).toUTCString() }),
    );
    await assert.rejects(new Callboard({ url: later.url, token: TOKEN }).getJobStatus(JOB.id), (error) => {
      // To wait for so long is the caller's to decide.
      assert(error instanceof BoardUnreachable && error.status === 429 && (error.retryAfter ?? 0) > 50);
      return later.asked.length === 1;
    });
  });

  test("what answers in a board's place is not a board", async (t) => {
    const { url } = await stub(t, (to, _, number) => (number % 2 ? says(to, 200, { data: [] }) : to.end("<html>")));
    await assert.rejects(new Callboard({ url, token: TOKEN }).getJobStatus(JOB.id), BoardUnreachable);
  });

  test("a job waits for a board that is away, only once", async (t) => {
    const { url } = await stub(t, (to) => says(to, 503));
    const { board, warned } = counting({ url, token: TOKEN });
    assert.equal(await board.withJob("first", () => "done"), "done");
    const begun = performance.now();
    for (let number = 0; number < 50; number += 1) await board.withJob("next", (job) => job.progress(10));
    assert(performance.now() - begun < 1000);
    assert.equal(warned.filter((line) => line.includes("cannot be sent")).length, 1);
  });

  test("a board that accepts and never answers costs the first job five seconds, and the next none", async (t) => {
    const { url } = await stub(t, () => undefined);
    const { board } = counting({ url, token: TOKEN });
    const begun = performance.now();
    await board.withJob("first", () => undefined);
    const first = performance.now();
    assert(first - begun < 7500, `${first - begun} ms`);
    await board.withJob("next", () => undefined);
    assert(performance.now() - first < 500);
  });

  test("a fetch that never ends, and hears no signal, costs its own request alone", async (t) => {
    const { url, asked } = await stub(t, (to) => says(to, 200));
    let calls = 0;
    const own: typeof fetch = (where, init) => (calls++ === 0 ? new Promise(() => undefined) : fetch(where, init));
    const { board } = counting({ url, token: TOKEN, timeout: 0.5, fetch: own });
    await board.withJob("first", () => undefined);
    assert(await board.flush(20));
    assert.equal(asked.at(-1)?.body?.status, "completed");
  });

  test("a refused token costs a job no time, and is told once", async () => {
    const { board, warned, asked } = counting({ token: "cb_wrong_token" });
    const begun = performance.now();
    for (let number = 0; number < 3; number += 1) {
      await board.withJob("report", (job) => {
        job.progress(10);
        assert.equal(job.id, null);
      });
    }
    assert(performance.now() - begun < 2000);
    assert.equal(warned.length, 1);
    assert.equal(asked.length, 1);
  });

  test("a strict job throws when the board is away, and what the work throws comes first", async (t) => {
    const gone = await stub(t, (to) => says(to, 503));
    const { board } = counting({ url: gone.url, token: TOKEN, strict: true });
    await assert.rejects(
      board.withJob("first", () => assert.fail("It ran.")),
      BoardUnreachable,
    );
    const later = await stub(t, (to, asked) => says(to, asked.body?.status === "failed" ? 503 : 200));
    const second = counting({ url: later.url, token: TOKEN, strict: true });
    await assert.rejects(
      second.board.withJob("second", () => Promise.reject(new RangeError("its own"))),
      RangeError,
    );
  });

  test("a report that the board cannot digest is left out, and the next one is told", async (t) => {
    const isBad = (body: object | null) => JSON.stringify(body).includes("bad");
    const { url, asked } = await stub(t, (to, { body }) =>
      says(to, isBad(body) ? 500 : 200, { ...JOB, code: "internal" }),
    );
    const { board, warned } = counting({ url, token: TOKEN });
    await board.withJob("odd", async (job) => {
      job.progress(10, "bad");
      await until(() => asked.some((one) => isBad(one.body)));
    });
    assert(await board.flush(20));
    assert.equal(asked.filter((one) => isBad(one.body)).length, 5);
    assert.equal(asked.at(-1)?.body?.status, "completed");
    assert.match(warned.join(), /left out/);
  });

  test("a silent job among chatty ones gives its signs of life", async (t) => {
    const { url, asked } = await stub(t, (to, { path, body }) => {
      const answers = ((body?.data as object[] | undefined) ?? []).map(() => ({ status: 200, job: JOB }));
      const id = body?.type === "silent" ? "silent" : "chatty";
      says(
        to,
        200,
        path.endsWith("/batch") ? { data: answers } : { ...JOB, id: path === "/api/v1/jobs" ? id : path.split("/")[4] },
      );
    });
    const { board } = counting({ url, token: TOKEN });
    let ended = false;
    const silent = board.withJob("silent", { heartbeatTimeout: 1 }, async () => {
      const mark = asked.length;
      const speaks = (one: (typeof asked)[number]) =>
        one.path.endsWith("/silent") || JSON.stringify(one.body).includes('"silent"');
      await until(() => asked.slice(mark).filter(speaks).length >= 3);
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

test("without an address the work runs, and that is said once", async () => {
  const { CALLBOARD_URL } = process.env;
  delete process.env.CALLBOARD_URL;
  const { board, warned, asked } = counting({ token: TOKEN });
  try {
    for (let number = 0; number < 2; number += 1) {
      const returned = await board.withJob("report", (job) => {
        job.progress(10);
        job.log("line");
        return job.id;
      });
      assert.equal(returned, null);
    }
    assert.deepEqual([warned.length, asked.length, await board.flush()], [1, 0, true]);
    assert.match(warned.join(), /CALLBOARD_URL is not set/);
  } finally {
    process.env.CALLBOARD_URL = CALLBOARD_URL;
  }
});

test("when too much waits, new jobs are left out and the work goes on", async (t) => {
  const { url } = await stub(t, (to) => says(to, 503));
  const { board, warned } = counting({ url, token: TOKEN });
  for (let number = 0; number < 4000; number += 1) await board.withJob("next", () => undefined);
  assert(warned.some((line) => line.includes("too much waits")));
});
